"""The verb train: a run from its config to its results."""

import contextlib
from pathlib import Path

import jax

from mmjax import config as config_lib
from mmjax.data.device import place, prefetch_to_device
from mmjax.data.pipeline import TrainPipeline
from mmjax.evaluation.suite import Suite
from mmjax.experiments.results import write_results
from mmjax.mesh import batch_sharding
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.experiment import Experiment
from mmjax.training.history import read_history
from mmjax.training.init_from import init_from, with_teachers
from mmjax.training.load import experiment_of, open_checkpoints
from mmjax.training.loop import fit
from mmjax.training.progress import Progress, notes_told, say
from mmjax.training.sources import fingerprints
from mmjax.training.workdir import locked, settle


def train(config, workdir: str | Path) -> dict:
    """Train a config in a workdir, or go on where an interrupted run stopped; at the end write its results.

    Args:
        config: the experiment's config.
        workdir: folder of the run.

    Returns:
        {"step", "stopped", "metrics"}: the last step, the signal that ended the run early or "", the last results.

    Raises:
        UserError: for whatever is wrong with config, data or workdir.
    """
    config_lib.validate(config)
    workdir, first = Path(workdir), jax.process_index() == 0
    with locked(workdir) if first else contextlib.nullcontext(), notes_told():
        pipeline = TrainPipeline(
            config.data, tuple(config.streams), config.seed, config.batch_size, jax.process_index(), jax.process_count()
        )
        experiment = experiment_of(config, examples=len(pipeline.source))
        # In every process, so that a source that is missing ends them all.
        data = fingerprints(config) | {"train": pipeline.fingerprint()}
        if first:
            settle(workdir, config, data)
        suite, stopped = Suite(experiment), ""
        with contextlib.closing(open_checkpoints(workdir, config)) as checkpoints:
            state = starting_state(experiment, checkpoints)
            done = int(state.step) >= experiment.total_steps
            if not done:
                state, stopped = go_on(experiment, state, pipeline, suite, checkpoints, workdir)
        report_replaced(pipeline.unreadable)
        report_skipped(state)
        if stopped:
            say(f"stopped by {stopped} after step {int(state.step)}; the same command goes on from there")
        elif not done:
            write_results(workdir, experiment, suite, state, last_results(workdir))
        else:
            total = experiment.total_steps
            say(f"this run is complete: {total} steps in {workdir}; a longer one needs another workdir")
            if not (workdir / "report.html").exists():  # it was killed before its results were written
                write_results(workdir, experiment, suite, state, suite.all(state))
        return {"step": int(state.step), "stopped": stopped, "metrics": last_results(workdir)}


def go_on(experiment: Experiment, state, pipeline, suite: Suite, checkpoints: Checkpoints, workdir: Path):
    """`fit` from `state` on, watched by a progress bar: (state, stopped)."""
    with Progress(int(state.step), experiment.total_steps) as progress:
        return fit(
            experiment,
            state,
            lambda start: training_batches(pipeline, experiment.mesh, start),
            workdir=workdir,
            checkpoints=checkpoints,
            evaluate=suite.due,
            progress=progress,
            counts=pipeline.unreadable.metrics,
        )


def report_replaced(unreadable) -> None:
    """Say which samples could not be read and were replaced by others, if any."""
    if unreadable.reasons:
        say(f"replaced unreadable samples among {unreadable.rows} rows: {unreadable.by_reason()}")
        for fault in unreadable.examples:
            say(f"  {fault}")


def report_skipped(state) -> None:
    """Say how many steps were skipped because loss or gradients were not finite, if any."""
    if int(state.skipped):
        say(f"skipped {int(state.skipped)} of {int(state.step)} steps: their loss or gradients were not finite")


def starting_state(experiment: Experiment, checkpoints: Checkpoints):
    """The newest whole checkpoint, else a fresh state, with the weights of `config.init_from` if it names any."""
    state, config = checkpoints.restore(experiment.state, log=say), experiment.config
    if state is not None:
        if int(state.step) < experiment.total_steps:
            say(f"going on from step {int(state.step)} of {experiment.total_steps}")
        return state
    state = init_from(config.init_from, experiment, log=say) if config.init_from else experiment.init()
    return with_teachers(state, experiment) if experiment.teachers else state


@contextlib.contextmanager
def training_batches(pipeline: TrainPipeline, mesh, start: int):
    """Yields the endless iterator of placed batches from step `start`; closes its threads at the end."""
    stream = prefetch_to_device(pipeline.iterate(start), lambda batch: place(batch, batch_sharding(mesh)))
    try:
        yield stream
    finally:
        stream.close()


def last_results(workdir: Path) -> dict[str, float]:
    """The newest value of every evaluated metric."""
    rows = read_history(workdir)
    return {k: v for row in rows for k, v in row.items() if k.startswith(("val/", "val_raw/"))}
