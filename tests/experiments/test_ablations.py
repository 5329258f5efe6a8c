"""The ablations that ship are sweeps whose cells can be run, every one with something to be compared with."""

from pathlib import Path

import pytest

from mmjax.experiments.cells import baseline_of, numeric_axis
from mmjax.experiments.jobs import list_jobs, read_sweep

FILES = sorted((Path(__file__).parents[2] / "configs" / "ablations").glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_cells_can_be_run_and_compared(file, tmp_path):
    plan = read_sweep(str(file))
    jobs = list_jobs(str(file), plan, tmp_path)
    assert len(jobs) == len(plan.cells) * 3
    key, lines = numeric_axis(list(plan.cells))
    baselines = {baseline_of(plan.baseline, cell, plan.cells) for cell in plan.cells} - {""}
    assert len(baselines) == len(next(iter(lines.values()))) == 3  # one for each value of the swept number
    assert f"configs/ablations/{file.name}" in file.read_text()
