"""The verb sweep: every cell at every seed, one folder each, never twice, going on where an interrupted one stopped.

Each run is a process of its own: it leaves no compiled programs or memory to the next one, runs under the allocator
settings of `mmjax train`, and may crash. That costs about 2 s of imports a run. This process must not touch a device,
which the runs need.
"""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.experiments.cells import Sweep
from mmjax.experiments.cost import print_costs
from mmjax.experiments.jobs import Job, in_cell, list_jobs, read_sweep, select
from mmjax.experiments.processes import Command, Outcome, run_all
from mmjax.training.sources import evaluation_keys, open_key, training_keys
from mmjax.training.stopping import stop_signals
from mmjax.training.workdir import locked, write_atomically

RECORD, FINISHED, LOG = "sweep.json", "finished.json", "log.txt"


def sweep(
    file: str,
    workdir: str | Path,
    *,
    processes: int = 1,
    dry_run: bool = False,
    only: Sequence[str] = (),
    seeds: Sequence[str | int] = (),
) -> dict:
    """Run a config file's sweep in a workdir, or what of it is not finished yet.

    Args:
        file: the config file, with get_config and get_sweep.
        workdir: the sweep's folder; a run lies in CELL/seed_N.
        processes: how many runs at once.
        dry_run: only print what the runs would cost.
        only: names of the cells to run; none: all.
        seeds: seeds to run; none: all.

    Returns:
        {"runs", "finished", "seconds"}: how many there are, how many are finished, seconds that this call took; with
        `dry_run` {"runs", "flops"}.

    Raises:
        UserError: for whatever is wrong with the file or the workdir, before anything runs; or after all runs, naming
            those that failed.
        KeyboardInterrupt: a signal stopped it; runs that were going on have saved where they are.
    """
    workdir, plan = Path(workdir), read_sweep(file)
    jobs = list_jobs(file, plan, workdir)
    chosen = select(jobs, only=only, seeds=seeds)
    if dry_run:
        return print_costs(chosen)
    _check_needs(chosen, jobs)
    _check_sources(job for job in chosen if not is_finished(job.folder))
    with locked(workdir):
        settle(workdir, file, plan, jobs)
        begin = time.monotonic()
        failed = _run(chosen, processes)
    if failed:
        remedy = "mend it and give the same command again: finished runs are not repeated"
        raise UserError(f"{len(failed)} of {len(chosen)} runs failed:\n" + "\n".join(failed), remedy=remedy)
    done, seconds = sum(is_finished(job.folder) for job in jobs), time.monotonic() - begin
    say(f"{done} of {len(jobs)} runs are finished; this took {seconds:.0f} s\nreport: mmjax report {workdir}")
    return {"runs": len(jobs), "finished": done, "seconds": round(seconds, 1)}


def is_finished(folder: Path) -> bool:
    """Whether a run's last step, its evaluations and its report were done; it then never runs again."""
    return (folder / FINISHED).exists()


def _run(jobs: Sequence[Job], processes: int) -> list[str]:
    """Run the jobs that are not finished; what to say of those that failed."""
    todo = {job.name: job for job in jobs if not is_finished(job.folder)}
    failed: list[str] = []
    if len(todo) < len(jobs):
        say(f"{len(jobs) - len(todo)} of {len(jobs)} runs are finished already")

    def ended(command: Command, outcome: Outcome) -> bool:
        stopped = outcome.result["stopped"] if outcome.result else ""
        if well := not (outcome.reason or stopped):
            write_atomically(todo[command.name].folder / FINISHED, json.dumps({"step": outcome.result["step"]}))
        elif not asked():
            reason = f"stopped by {stopped} from outside" if stopped else outcome.reason
            failed.append(f"  {command.name}: {reason}\n    log: {command.log}")
        number = list(todo).index(command.name) + 1
        how = "failed" if outcome.reason else "stopped" if stopped else "finished"
        say(f"[{number}/{len(todo)}] {command.name}: {how} after {outcome.seconds:.0f} s")
        return well

    with stop_signals() as asked:
        run_all([_command(job) for job in todo.values()], processes, ended, asked)
        if asked():
            say(f"stopped by {asked()}; the same command goes on from there")
            raise KeyboardInterrupt
    return failed


def _command(job: Job) -> Command:
    return Command(job.name, ("train", *job.flags, f"--workdir={job.folder}"), job.folder / LOG, job.needs)


def _check_needs(chosen: Sequence[Job], jobs: Sequence[Job]) -> None:
    """Raise `UserError` if a chosen run needs one that is neither chosen nor finished."""
    names, finished = {job.name for job in chosen}, {job.name for job in jobs if is_finished(job.folder)}
    for job in chosen:
        for need in set(job.needs) - names - finished:
            raise UserError(f"{job.name} needs {need}, which has not run", where="--only, --seeds", remedy="add it")


def _check_sources(jobs: Iterable[Job]) -> None:
    """Raise `UserError` if a source that a run trains or evaluates on does not open; each is opened once."""
    opened = set()
    for job in jobs:
        for key in (*training_keys(job.config), *evaluation_keys(job.config).values()):
            if (spec := config_lib.lookup(job.config, key)) not in opened:
                with in_cell(job.cell):
                    open_key(job.config, key)
                opened.add(spec)


def settle(workdir: Path, file: str, plan: Sweep, jobs: Sequence[Job]) -> None:
    """Write sweep.json, or check that the one there is of the same sweep, to which cells and seeds may be added.

    Raises:
        UserError: naming what of it changed.
    """
    record = workdir / RECORD
    changed = _changes(read_record(record), file, plan) if record.exists() else []
    for job in jobs:
        if (job.folder / "config.json").exists():
            before = config_lib.from_json((job.folder / "config.json").read_text())
            changed += [f"{job.name}: {line}" for line in config_lib.differences(before, job.config)]
    if changed:
        raise UserError(
            "this workdir belongs to another sweep:\n    " + "\n    ".join(changed),
            where=str(workdir),
            remedy="choose another --workdir",
        )
    commands = {job.name: ["mmjax", *_command(job).argv] for job in jobs}
    text = {"config": file, "cells": plan.cells, "seeds": plan.seeds, "baseline": plan.baseline}
    write_atomically(record, json.dumps(text | {"metrics": plan.metrics, "commands": commands}, indent=2))


def _changes(before: dict, file: str, plan: Sweep) -> list[str]:
    lines = []
    if Path(before["config"]).name != Path(file).name:
        lines.append(f"config file: {before['config']} -> {file}")
    lines += [f"cell {name!r}: gone" for name in before["cells"] if name not in plan.cells]
    return lines + [f"seed {seed}: gone" for seed in before["seeds"] if seed not in plan.seeds]


def read_record(record: Path) -> dict:
    """sweep.json of a workdir.

    Raises:
        UserError: it is damaged.
    """
    try:
        read = json.loads(record.read_text())
        missing = {"config", "cells", "seeds", "baseline", "metrics", "commands"} - read.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise UserError("sweep.json is damaged", where=str(record), remedy="choose another --workdir") from error
    if missing:
        raise UserError(f"sweep.json lacks {sorted(missing)}", where=str(record), remedy="choose another --workdir")
    return read


def say(line: str) -> None:
    """A line for who waits."""
    print(line, file=sys.stderr, flush=True)
