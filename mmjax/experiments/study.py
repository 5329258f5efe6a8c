"""Several runs side by side: cells of seeds, what they are compared with, and what must be said about them."""

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.evaluation.table import parse_metric
from mmjax.experiments.runs import Run, read_run
from mmjax.experiments.sweep import RECORD, read_record
from mmjax.experiments.statistics import Difference, paired_difference

HEADLINES = ("R@1", "acc1", "top1", "accuracy")


@dataclass(frozen=True)
class Study:
    """Runs to compare.

    Attributes:
        cells: name -> seed -> run; the seeds of a cell differ in nothing else.
        baseline: the cell that the others are compared with; empty: none.
        metrics: what is compared, in order.
        commands: the command of each run that a sweep made, by the run's name.
        absent: names of runs that were never started.
    """

    cells: Mapping[str, Mapping[int, Run]]
    baseline: str
    metrics: tuple[str, ...]
    commands: Mapping[str, str]
    absent: tuple[str, ...] = ()

    def values(self, cell: str, metric: str) -> dict[int, float]:
        """Seed -> the metric's last value, of the runs of a cell that have it."""
        return {seed: run.results[metric] for seed, run in self.cells[cell].items() if metric in run.results}

    def difference(self, cell: str, metric: str) -> Difference | None:
        """The cell less the baseline over their common seeds; None if there are none, or the data are not the same."""
        if not self.baseline or cell == self.baseline or not self.same_data(cell, metric):
            return None
        return paired_difference(self.values(cell, metric), self.values(self.baseline, metric))

    def same_data(self, cell: str, metric: str) -> bool:
        """Whether a metric of a cell and of the baseline was measured on the same data."""
        name = metric.split("/")[1]
        own, other = (data_of(self.cells[c]) for c in (cell, self.baseline))
        return all(own.get(key) == other.get(key) for key in (name, f"{name} train"))

    def changed_keys(self) -> dict[str, list]:
        """Config key -> its value in every cell, of the keys whose values differ; "absent" where there is no such key."""
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
    cells, metrics, commands, absent, asked = {}, [], {}, [], []
    for folder in map(Path, folders):
        if (folder / RECORD).exists():
            prefix = f"{folder.absolute().name}/" if len(folders) > 1 else ""
            record = read_record(folder / RECORD)
            metrics += [m for m in record["metrics"] if m not in metrics]
            asked += [prefix + record["baseline"]] * bool(record["baseline"])
            absent += _read_cells(folder, prefix, record, cells, commands)
        elif run := read_run(folder):
            _add_single(folder, run, cells)
        else:
            remedy = "name folders that `mmjax train` or `mmjax sweep` wrote"
            raise UserError("no run and no sweep here", where=str(folder), remedy=remedy)
    if not cells:
        raise UserError("none of the runs was started", where=str(folders[0]), remedy="mmjax sweep starts them")
    if baseline and baseline not in cells:
        raise UserError(f"no cell {baseline!r}", where="--baseline", remedy=config_lib.nearest(baseline, cells))
    for name, runs in cells.items():
        _check_data(name, runs)
    baseline = baseline or next((name for name in asked if name in cells), "" if asked or absent else next(iter(cells)))
    study = Study(cells, baseline, tuple(metrics), commands, tuple(absent))
    return study if metrics else Study(cells, baseline, _headlines(study), commands, tuple(absent))


def data_of(runs: Mapping[int, Run]) -> Mapping[str, str]:
    """Fingerprints of the data that all seeds of a cell had."""
    return next(iter(runs.values())).data


def notes(study: Study) -> list[str]:
    """Sentences on what is missing, and on what differs beside the configs."""
    runs = {_name(cell, seed): run for cell, seeds in study.cells.items() for seed, run in seeds.items()}
    lines = [f"{name}: {run.trouble}; its results are left out." for name, run in runs.items() if run.trouble]
    lines += [f"{name}: not started." for name in study.absent]
    return lines + _missing(study) + _other_data(study) + _other_environments(runs) + reruns(runs)


def reruns(runs: Mapping[str, Run]) -> list[str]:
    """Sentences on finished runs of the same config, seed and data: whether their final parameters agree in every bit."""
    groups: dict[str, list[str]] = {}
    for name, run in runs.items():
        if not run.trouble:
            groups.setdefault(run.identity + json.dumps(dict(run.data), sort_keys=True), []).append(name)
    lines = []
    for names in filter(lambda names: len(names) > 1, groups.values()):
        found = {runs[name].parameters for name in names}
        said = "agree in every bit" if len(found) == 1 else "DIFFER"
        lines.append(f"{', '.join(names)} have the same config and seed; their final parameters {said}.")
    return lines


def _read_cells(folder: Path, prefix: str, record: Mapping, cells: dict, commands: dict) -> list[str]:
    """Add the runs of a sweep to `cells`, and their commands; the names of those that were never started."""
    absent = []
    for cell, seed in itertools.product(record["cells"], record["seeds"]):
        name = _name(prefix + cell, seed)
        commands[name] = record["commands"][_name(cell, seed)]
        if run := read_run(folder / cell / f"seed_{seed}"):
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


def _headlines(study: Study) -> tuple[str, ...]:
    """Every first share (R@1, accuracy) that a run has; if there is none, every result."""
    found = dict.fromkeys(k for runs in study.cells.values() for run in runs.values() for k in run.results)
    results = [k for k in found if k.startswith("val/") and not k.endswith("queries")]
    return tuple(k for k in results if (m := parse_metric(k)) and m.measure in HEADLINES) or tuple(results)


def _missing(study: Study) -> list[str]:
    lines = []
    for metric in study.metrics:
        lacking = [
            _name(cell, seed)
            for cell, runs in study.cells.items()
            for seed, run in runs.items()
            if not run.trouble and metric not in run.results
        ]
        lines += [f"{metric} is missing (not measured, or not finite) in {', '.join(lacking)}."] * bool(lacking)
    return lines


def _other_data(study: Study) -> list[str]:
    if not study.baseline:
        return []
    base, lines = data_of(study.cells[study.baseline]), []
    for cell, runs in study.cells.items():
        other = [k for k in sorted({*base, *data_of(runs)}) if base.get(k) != data_of(runs).get(k)]
        told = (
            f"{cell} has other data than {study.baseline}: {', '.join(other)}; what was measured there is not compared."
        )
        lines += [told] * bool(other)
    return lines


def _other_environments(runs: Mapping[str, Run]) -> list[str]:
    """What of the environment differs between runs, each value with how many runs have it."""
    flat = [
        dict(config_lib.flatten({k: v for k, v in run.environment.items() if k != "data"})) for run in runs.values()
    ]
    lines = []
    for key in sorted(set().union(*flat)):
        counts = Counter(str(environment.get(key, "absent")) for environment in flat)
        told = ", ".join(f"{value} ({count} runs)" for value, count in counts.items())
        lines += [f"The runs differ in {key}: {told}."] * (len(counts) > 1)
    return lines


def _name(cell: str, seed: int) -> str:
    return f"{cell} seed {seed}"
