"""The runs of a sweep, each as the command that makes it, checked before any is started.

In the values of a cell's changes {workdir} stands for the sweep's folder and {seed} for the seed, so that a cell can go
on from another one's run: {"init_from": "{workdir}/first/seed_{seed}"}.
"""

import contextlib
import difflib
import re
import runpy
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from mmjax import config as config_lib
from mmjax.command_line import define_config, parse
from mmjax.errors import UserError, nearest
from mmjax.experiments.cells import ARGUMENT, Sweep


class Job(NamedTuple):
    """One run of a sweep: a cell at a seed, its folder, the flags of `mmjax train` that make it, and its config.

    `needs` are the names of the runs whose folders it reads, which must be finished before it starts.
    """

    cell: str
    seed: int
    folder: Path
    flags: tuple[str, ...]
    config: Any
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"{self.cell} seed {self.seed}"


def read_sweep(file: str) -> Sweep:
    """What `get_sweep()` of a config file returns.

    Raises:
        UserError: no such file, no get_sweep in it, or it fails or returns something else.
    """
    try:
        made = runpy.run_path(file).get("get_sweep", lambda: None)()
    except UserError:
        raise
    except OSError as error:
        raise UserError(error.strerror, where=file, remedy="name the config file: --config=FILE.py") from error
    except Exception as error:  # a config file is a program, and may raise anything
        line = getattr(error, "lineno", None) or traceback.extract_tb(error.__traceback__)[-1].lineno
        what = f"the sweep does not load: {type(error).__name__}: {error}"
        raise UserError(what, where=f"{file}:{line}", remedy="mend it") from error
    if not isinstance(made, Sweep):
        remedy = "add def get_sweep(): return mmjax.config.sweep(...); docs/experiments.md shows one"
        raise UserError("no get_sweep, or it returns no sweep", where=file, remedy=remedy)
    return made


def list_jobs(file: str, sweep: Sweep, workdir: Path) -> list[Job]:
    """Every cell at every seed, seed by seed, so that an interrupted sweep has compared all cells at the first seeds.

    Raises:
        UserError: a key that does not exist, a value of another type, a run that needs a later one, two cells with one
            config, a metric that no cell measures.
    """
    workdir = workdir.absolute()
    jobs = [_job(file, cell, changes, seed, workdir) for seed in sweep.seeds for cell, changes in sweep.cells.items()]
    jobs = [job._replace(needs=_needs(job, jobs[:i], jobs[i:])) for i, job in enumerate(jobs)]
    seen: dict[str, Job] = {}
    for job in jobs:
        same = seen.setdefault(config_lib.to_json(job.config), job)
        if same is not job:
            remedy = "change what tells them apart, or drop one"
            raise UserError(f"the cells {same.cell!r} and {job.cell!r} are equal", where=file, remedy=remedy)
    _check_metrics(sweep.metrics, {name for job in jobs for name in job.config.evaluations})
    return jobs


def select(jobs: Iterable[Job], *, only: Iterable[str] = (), seeds: Iterable[str | int] = ()) -> list[Job]:
    """The jobs of some cells and seeds; none named: all. An item of `only` is a name, or several joined by commas."""
    jobs, seeds = list(jobs), set(map(str, seeds))
    cells, known = {job.cell for job in jobs}, {str(job.seed) for job in jobs}
    wanted = {name for item in only for name in ([item] if item in cells else item.split(","))}
    for name in sorted(wanted - cells):
        raise UserError(f"no cell {name!r} in this sweep", where="--only", remedy=nearest(name, cells))
    for seed in sorted(seeds - known):
        raise UserError(f"no seed {seed} in this sweep", where="--seeds", remedy=f"seeds: {', '.join(sorted(known))}")
    return [job for job in jobs if job.cell in (wanted or cells) and str(job.seed) in (seeds or known)]


def train_flags(file: str, changes: Mapping[str, Any], seed: int) -> tuple[str, ...]:
    """The flags of `mmjax train` that make a cell at a seed, but for --workdir."""
    argument = changes.get(ARGUMENT)
    changed = {k: v for k, v in changes.items() if k != ARGUMENT} | {"seed": seed}
    texts = {k: v if isinstance(v, str) else repr(_plain(v)) for k, v in changed.items()}
    return (
        f"--config={file}" + (f":{argument}" if argument is not None else ""),
        *(f"--config.{k}={text}" for k, text in texts.items()),
    )


def resolve(argv: Iterable[str]):
    """The config that `mmjax train` makes of these flags, validated."""
    argv, values = list(argv), flags.FlagValues()
    define_config(values, argv)
    parse(values, ("config",), ["mmjax train", *argv])
    config_lib.validate(values.config)
    return values.config


def _job(file: str, cell: str, changes: Mapping, seed: int, workdir: Path) -> Job:
    changes = {key: _filled(value, {"{workdir}": str(workdir), "{seed}": str(seed)}) for key, value in changes.items()}
    with in_cell(cell):
        _check_keys(file, changes)
        argv = train_flags(file, changes, seed)
        config = resolve(argv)
        _check_values(config, changes)
    return Job(cell, seed, workdir / cell / f"seed_{seed}", argv, config)


@contextlib.contextmanager
def in_cell(cell: str):
    """A `UserError` inside says of which cell it is."""
    try:
        yield
    except UserError as error:
        where = f"cell {cell!r}" + (f"; {error.where}" if error.where else "")
        raise UserError(error.what, where=where, remedy=error.remedy) from error


def _needs(job: Job, before: Sequence[Job], after: Sequence[Job]) -> tuple[str, ...]:
    """Names of the jobs whose folders a job's flags name; UserError if it is not `before` this one."""

    def named(other: Job) -> bool:
        return any(re.search(re.escape(str(other.folder)) + r"(?![\w.=+:@-])", flag) for flag in job.flags)

    for other in filter(named, after):
        remedy = "let the cell come first that others go on from"
        raise UserError(f"{job.name} needs {other.name}, which runs no earlier", where="get_sweep", remedy=remedy)
    return tuple(other.name for other in before if named(other))


def _filled(value, places: Mapping[str, str]):
    """A value, every text in it with its places filled."""
    if isinstance(value, list | tuple):
        return tuple(_filled(v, places) for v in value)
    for place, text in places.items() if isinstance(value, str) else ():
        value = value.replace(place, text)
    return value


def _check_keys(file: str, changes: Mapping) -> None:
    start = resolve(train_flags(file, {k: v for k, v in changes.items() if k == ARGUMENT}, seed=0))
    known = dict(config_lib.flatten(start))
    for key in changes:
        if key != ARGUMENT and key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            remedy = f"did you mean {close[0]!r}? " if close else ""
            raise UserError(f"no config key {key!r}", remedy=remedy + "docs/config.md lists every key")


def _check_values(config, changes: Mapping) -> None:
    """A value that the command line took for another, such as 3 for a text, is of the wrong type."""
    for key, value in changes.items():
        if key != ARGUMENT and (taken := config_lib.lookup(config, key)) != _plain(value):
            remedy = f"a {type(taken).__name__} is needed"
            raise UserError(f"{key} = {value!r} has the wrong type", remedy=remedy)


def _check_metrics(metrics: Iterable[str], evaluations: set[str]) -> None:
    for metric in metrics:
        prefix, _, rest = metric.partition("/")
        if prefix != "train" and (prefix not in ("val", "val_raw") or rest.split("/")[0] not in evaluations):
            remedy = f"write val/EVALUATION/METRIC; evaluations here: {', '.join(sorted(evaluations)) or 'none'}"
            raise UserError(f"the metric {metric!r} is measured in no cell", where="get_sweep", remedy=remedy)


def _plain(value):
    """Lists as the tuples that a config holds."""
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value
