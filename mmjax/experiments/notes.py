"""What must be said of the runs of a study beside its tables: what is missing, and what differs beside the configs."""

import json
from collections import Counter
from collections.abc import Mapping

from mmjax import config as config_lib
from mmjax.experiments.runs import Run
from mmjax.experiments.study import Study, data_of, run_name


def notes(study: Study) -> list[str]:
    """Sentences on what is missing, and on what differs beside the configs."""
    runs = {run_name(cell, seed): run for cell, seeds in study.cells.items() for seed, run in seeds.items()}
    lines = [f"{name}: {run.trouble}; its results are left out." for name, run in runs.items() if run.trouble]
    lines += [f"Not started: {', '.join(study.absent)}."] * bool(study.absent)
    return lines + _missing(study) + _other_data(study) + _other_environments(runs) + reruns(runs)


def reruns(runs: Mapping[str, Run]) -> list[str]:
    """Sentences on finished runs of one config, seed and data: whether their parameters agree in every bit."""
    groups: dict[str, list[str]] = {}
    for name, run in runs.items():
        if not run.trouble:
            groups.setdefault(run.identity + json.dumps(dict(run.data), sort_keys=True), []).append(name)
    lines = []
    for names in filter(lambda names: len(names) > 1, groups.values()):
        found = {runs[name].parameters for name in names}
        said = "agree in every bit" if len(found) == 1 else "DIFFER"
        said = "cannot be compared: a checkpoint is gone" if "" in found else said
        lines.append(f"{', '.join(names)} have the same config and seed; their final parameters {said}.")
    return lines


def _missing(study: Study) -> list[str]:
    lines = []
    for metric in study.metrics:
        lacking = [
            run_name(cell, seed)
            for cell, runs in study.cells.items()
            for seed, run in runs.items()
            if not run.trouble and metric not in run.results
        ]
        lines += [f"{metric} is missing (not measured, or not finite) in {', '.join(lacking)}."] * bool(lacking)
    return lines


def _other_data(study: Study) -> list[str]:
    lines = []
    for cell, baseline in ((cell, study.baseline_of(cell)) for cell in study.cells):
        own, base = (data_of(study.cells[name]) for name in (cell, baseline or cell))
        other = [k for k in sorted({*base, *own}) if base.get(k) != own.get(k)]
        told = f"{cell} has other data than {baseline}: {', '.join(other)}; what was measured there is not compared."
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
        told = ", ".join(f"{value} ({count} of {len(flat)})" for value, count in counts.items())
        lines += [f"The runs differ in {key}: {told}."] * (len(counts) > 1)
    return lines
