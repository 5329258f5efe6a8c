"""Symile's experiment from its config: three random vectors, any two of which are independent."""

import math
import runpy
from pathlib import Path

import pytest

from mmjax.training.history import read_history
from mmjax.training.train import train

CONFIG = Path(__file__).parents[2] / "configs" / "symile_xor.py"


def run(arg, steps, workdir):
    """The last accuracy and the mean loss of the last 20 steps."""
    config = runpy.run_path(str(CONFIG))["get_config"](arg)
    config.duration = f"{steps} steps"
    config.log.every = "1 steps"
    accuracy = train(config, workdir)["metrics"]["val/xor/accuracy"]
    losses = [row["train/loss"] for row in read_history(workdir) if "train/loss" in row]
    return accuracy, sum(losses[-20:]) / 20


def test_symile_finds_what_all_three_tell(tmp_path):
    accuracy, _ = run("symile", 80, tmp_path)
    assert accuracy >= 0.99


def test_pairs_tell_nothing(tmp_path):
    """The loss stays at its value for embeddings that know nothing, and a guess is one of 32."""
    accuracy, loss = run("clip", 60, tmp_path)
    assert loss == pytest.approx(3 * math.log(512), abs=0.02)
    assert accuracy < 0.07


def test_eight_modalities(tmp_path):
    """The eighth bit is the exclusive or of seven."""
    accuracy, _ = run("symile_8", 60, tmp_path)
    assert accuracy >= 0.99
