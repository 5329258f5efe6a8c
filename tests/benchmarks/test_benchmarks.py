"""Every benchmark runs on the tiny config and prints the numbers that README quotes, consistent with one another."""

import argparse
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from benchmarks import common, run_all, step_flops
