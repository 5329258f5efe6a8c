"""Every shell script of the repository passes shellcheck."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("script", ["launch/local.sh", "launch/tpu_pod.sh", "launch/slurm.sbatch", ".ci/run"])
def test_script_is_clean(script):
    found = subprocess.run(["shellcheck", ROOT / script], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
