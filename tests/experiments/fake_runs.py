"""Folders as `mmjax train` and `mmjax sweep` leave them, written without training."""

import json
from pathlib import Path

from mmjax import config as config_lib
from mmjax.experiments.cells import Sweep
from mmjax.experiments.jobs import Job, train_flags
from mmjax.experiments.sweep import FINISHED, settle
from tests import tiny

RECALL, GAP = "val/unseen/image_to_text_R@1", "val/gap/modality_gap"
STEPS = 12
DATA = {"train": "aaaa", "unseen": "bbbb", "gap": "cccc"}


def fake_run(folder: Path, *, recall=None, gap=None, seed=0, data=None, changes=(), bits=0, finished=True) -> Path:
    """One run with a loss at three steps and, if finished, its results at the last; `bits` are its parameters'."""
    config = tiny.get_config(str(STEPS))
    config.seed = seed
    config.update_from_flattened_dict(dict(changes))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config_lib.to_json(config))
    environment = {"python": "3.11", "packages": {"jax": "1"}, "data": {**DATA, **(data or {})}}
    (folder / "environment.json").write_text(json.dumps(environment))
    rows = [{"step": step, "train/loss": 5.0 / step + seed} for step in (4, 8, STEPS)[: 3 if finished else 1]]
    if finished:
        rows.append({"step": STEPS} | {k: v for k, v in ((RECALL, recall), (GAP, gap)) if v is not None})
        (folder / FINISHED).write_text(json.dumps({"step": STEPS}))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    digest = folder / "checkpoints" / str(rows[-1]["step"]) / "digest" / "metadata"
    digest.parent.mkdir(parents=True, exist_ok=True)
    digest.write_text(json.dumps({"step": 1, "params/model/kernel": bits, "opt_state/mu": 99}))
    return folder


def fake_sweep(workdir: Path, recalls: dict[str, dict], *, baseline="a", metrics=(RECALL,), **more) -> Path:
    """A finished sweep: cell -> seed -> recall; `more` as for `fake_run`. Cells differ in the temperature."""
    cells = {cell: {"objectives.contrastive.temperature": 0.1 * (i + 1)} for i, cell in enumerate(recalls)}
    seeds = tuple(sorted({seed for found in recalls.values() for seed in found}))
    plan = Sweep(cells, seeds, baseline, metrics)
    jobs = [
        Job(cell, seed, workdir / cell / f"seed_{seed}", train_flags(tiny.__file__, changes, seed), None)
        for cell, changes in cells.items()
        for seed in seeds
    ]
    workdir.mkdir(parents=True, exist_ok=True)
    settle(workdir, tiny.__file__, plan, jobs)
    for job in jobs:
        if job.seed in recalls[job.cell]:
            fake_run(
                job.folder, recall=recalls[job.cell][job.seed], seed=job.seed, changes=cells[job.cell].items(), **more
            )
    return workdir
