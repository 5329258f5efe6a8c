"""Several runs side by side: cells of seeds, and what they are compared with."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmjax import config as config_lib
from mmjax.errors import UserError, nearest
from mmjax.evaluation.table import parse_metric
from mmjax.experiments.cells import baseline_of, is_baseline
from mmjax.experiments.runs import Run, read_run
from mmjax.experiments.statistics import Difference, paired_difference
from mmjax.experiments.sweep import RECORD, read_record

HEADLINES = ("R@1", "acc1", "top1", "accuracy")


@dataclass(frozen=True)
class Study:
    """Runs to compare.

    Attributes:
        cells: name -> seed -> run; the seeds of a cell differ in nothing else.
        baseline: the cell that the others are compared with, or settings of it (`cells.baseline_of`); empty: none.
        metrics: what is compared, in order.
        sweeps: the command of each sweep.
        commands: the command of each run that a sweep made, by the run's name.
        absent: names of runs that were never started.
    """

    cells: Mapping[str, Mapping[int, Run]]
    baseline: str
    metrics: tuple[str, ...]
    sweeps: Sequence[Sequence[str]]
    commands: Mapping[str, Sequence[str]]
    absent: tuple[str, ...] = ()

    def values(self, cell: str, metric: str) -> dict[int, float]:
        """Seed -> the metric's last value, of the runs of a cell that have it."""
        return {seed: run.results[metric] for seed, run in self.cells[cell].items() if metric in run.results}

    def difference(self, cell: str, metric: str) -> Difference | None:
        """The cell less its baseline over their common seeds; None if there are none, or the data are not the same."""
        other = self.baseline_of(cell)
        if not other or not self.same_data(cell, metric):
            return None
        return paired_difference(self.values(cell, metric), self.values(other, metric))

    def baseline_of(self, cell: str) -> str:
        """The cell that another one is compared with, or ""."""
        return baseline_of(self.baseline, cell, self.cells)

    def same_data(self, cell: str, metric: str) -> bool:
        """Whether a metric of a cell and of its baseline was measured on the same data."""
        name = "train" if metric.startswith("train/") else metric.split("/")[1]
        own, other = (data_of(self.cells[c]) for c in (cell, self.baseline_of(cell)))
        # "name" is what was tested, "name train" and the like what else went into it.
        keys = [key for key in {*own, *other} if key == name or key.startswith(f"{name} ")]
        return all(own.get(key) == other.get(key) for key in keys)

    def changed_keys(self) -> dict[str, list]:
        """Config key -> its value in every cell, of the keys whose values differ; "absent" where there is none."""
        configs = [dict(config_lib.flatten(next(iter(runs.values())).config)) for runs in self.cells.values()]
        keys = sorted(set().union(*configs) - {"seed"})
        values = {key: [config.get(key, "absent") for config in configs] for key in keys}
        return {key: found for key, found in values.items() if any(v != found[0] for v in found)}


def read_study(folders: Sequence[str | Path], baseline: str = "") -> Study:
    """The runs of sweeps and single runs; of several folders, a sweep's cells are named FOLDER/CELL.

    Single runs that differ in nothing but the seed are one cell, named after the first one's folder.

    Raises:
        UserError: a folder without runs, a baseline that is no cell, a cell whose seeds had different data.
    """
    cells, metrics, sweeps, commands, absent, asked = {}, [], [], {}, [], []
    for folder in map(Path, folders):
        if (folder / RECORD).exists():
            prefix = f"{folder.absolute().name}/" if len(folders) > 1 else ""
            record = read_record(folder / RECORD)
            metrics += [m for m in record["metrics"] if m not in metrics]
            asked += [prefix + record["baseline"]] * bool(record["baseline"])
            absent += _read_cells(folder, prefix, record, cells, commands)
            sweeps.append(("mmjax", "sweep", f"--config={record['config']}", f"--workdir={folder}"))
        elif run := read_run(folder):
            _add_single(folder, run, cells)
        else:
            remedy = "name folders that `mmjax train` or `mmjax sweep` wrote"
            raise UserError("no run and no sweep here", where=str(folder), remedy=remedy)
    if not cells:
        raise UserError("none of the runs was started", where=str(folders[0]), remedy="mmjax sweep starts them")
    if baseline and not is_baseline(baseline, cells):
        raise UserError(f"no cell {baseline!r}", where="--baseline", remedy=nearest(baseline, cells))
    for name, runs in cells.items():
        _check_data(name, runs)
    usable = (name for name in asked if is_baseline(name, cells))
    baseline = baseline or next(usable, "" if asked or absent else next(iter(cells)))
    return Study(cells, baseline, tuple(metrics) or _headlines(cells), sweeps, commands, tuple(absent))


def data_of(runs: Mapping[int, Run]) -> Mapping[str, str]:
    """Fingerprints of the data that all seeds of a cell had."""
    return next(iter(runs.values())).data


def _read_cells(folder: Path, prefix: str, record: Mapping, cells: dict, commands: dict) -> list[str]:
    """Add the runs of a sweep to `cells`, and their commands; the names of those that were never started."""
    absent = []
    for cell, seed in itertools.product(record["cells"], record["seeds"]):
        name = run_name(prefix + cell, seed)
        commands[name] = record["commands"][run_name(cell, seed)]
        if run := read_run(folder / cell / f"seed_{seed}", folder):
            cells.setdefault(prefix + cell, {})[seed] = run
        else:
            absent.append(name)
    return absent


def _add_single(folder: Path, run: Run, cells: dict) -> None:
    """Put a run with those that differ from it in the seed alone, or into a cell of its own."""
    seed = run.config.seed
    for runs in cells.values():
        other = next(iter(runs.values()))
        changed = [line.partition(":")[0] for line in config_lib.differences(other.config, run.config)]
        if changed == ["seed"] and seed not in runs:
            runs[seed] = run
            return
    cells[folder.absolute().name if folder.absolute().name not in cells else str(folder)] = {seed: run}


def _check_data(name: str, runs: Mapping[int, Run]) -> None:
    first = data_of(runs)
    for seed, run in runs.items():
        other = [key for key in sorted({*first, *run.data}) if first.get(key) != run.data.get(key)]
        if other:
            raise UserError(
                f"the seeds of {name!r} had different data: {', '.join(other)}",
                where=f"seed {seed}: {run.folder}/environment.json",
                remedy="train them again on the same data, or leave that run out",
            )


def _headlines(cells: Mapping[str, Mapping[int, Run]]) -> tuple[str, ...]:
    """Every first share (R@1, accuracy) that a run has; if there is none, every result."""
    found = dict.fromkeys(k for runs in cells.values() for run in runs.values() for k in run.results)
    results = [k for k in found if k.startswith("val/") and not k.endswith("queries")]
    return tuple(k for k in results if (m := parse_metric(k)) and m.measure in HEADLINES) or tuple(results)


def run_name(cell: str, seed: int) -> str:
    """How tables and notes call a run."""
    return f"{cell} seed {seed}"
