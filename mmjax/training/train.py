"""The verb train: a run from its config to its results."""

import contextlib
from pathlib import Path

import jax

from mmjax import config as config_lib
from mmjax.data.device import place, prefetch_to_device
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.sources import open_source
from mmjax.evaluation.suite import Suite
from mmjax.experiments.results import write_results
from mmjax.mesh import batch_sharding
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.experiment import Experiment
from mmjax.training.history import read_history
from mmjax.training.init_from import init_from
from mmjax.training.loop import fit
from mmjax.training.progress import Progress, say
from mmjax.training.load import experiment_of, open_checkpoints
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
    with locked(workdir) if first else contextlib.nullcontext():
        pipeline = TrainPipeline(
            config.data, tuple(config.streams), config.seed, config.batch_size, jax.process_index(), jax.process_count()
        )
        experiment = experiment_of(config, examples=len(pipeline.source))
        if first:
            settle(workdir, config, fingerprints(config))
        checkpoints = open_checkpoints(workdir, config)
        state = starting_state(experiment, checkpoints)
        if int(state.step) >= experiment.total_steps:
            say(f"this run is complete: {experiment.total_steps} steps in {workdir}; a longer one needs another workdir")
            return {"step": int(state.step), "stopped": "", "metrics": last_results(workdir)}
        suite = Suite(experiment)
        with Progress(int(state.step), experiment.total_steps) as progress:
            batches = lambda start: training_batches(pipeline, experiment.mesh, start)  # noqa: E731
            state, stopped = fit(
                experiment,
                state,
                batches,
                workdir=workdir,
                checkpoints=checkpoints,
                evaluate=suite.due,
                progress=progress,
            )
        checkpoints.close()
        if stopped:
            say(f"stopped by {stopped} after step {int(state.step)}; the same command goes on from there")
        else:
            write_results(workdir, experiment, suite, state, last_results(workdir))
        return {"step": int(state.step), "stopped": stopped, "metrics": last_results(workdir)}


def starting_state(experiment: Experiment, checkpoints: Checkpoints):
    """The newest whole checkpoint, else a fresh state, with the weights of `config.init_from` if it names any."""
    state, config = checkpoints.restore(experiment.state, log=say), experiment.config
    if state is not None:
        if int(state.step) < experiment.total_steps:
            say(f"going on from step {int(state.step)} of {experiment.total_steps}")
        return state
    return init_from(config.init_from, experiment, log=say) if config.init_from else experiment.init()


@contextlib.contextmanager
def training_batches(pipeline: TrainPipeline, mesh, start: int):
    """Yields the endless iterator of placed batches from step `start`; closes its threads at the end."""
    stream = prefetch_to_device(pipeline.iterate(start), lambda batch: place(batch, batch_sharding(mesh)))
    try:
        yield stream
    finally:
        stream.close()


def fingerprints(config) -> dict[str, str]:
    """Fingerprint of every source that the config trains or evaluates on."""
    specs = {"train": config.data.source} | {name: e.source for name, e in config.evaluations.items()}
    return {name: open_source(spec).fingerprint() for name, spec in specs.items()}


def last_results(workdir: Path) -> dict[str, float]:
    """The newest value of every evaluated metric."""
    rows = read_history(workdir)
    return {k: v for row in rows for k, v in row.items() if k.startswith(("val/", "val_raw/"))}
