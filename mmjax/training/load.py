"""A run from its workdir: the experiment it was, the state it reached."""

import contextlib
from pathlib import Path

import jax

from mmjax.data.mixture import open_data
from mmjax.data.shapes import batch_shapes
from mmjax.data.tokenizers import make_tokenizer
from mmjax.errors import UserError
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.experiment import Experiment, build_experiment
from mmjax.training.progress import say
from mmjax.training.workdir import read_config


def load(workdir: str | Path, *, step: int | None = None) -> tuple[Experiment, object]:
    """The experiment of a workdir and the state of one of its checkpoints, on all devices here.

    Args:
        workdir: folder of the run.
        step: step of the checkpoint; None: the newest that is whole.

    Raises:
        UserError: if there is no run, or no such checkpoint.
    """
    config = read_config(workdir)
    config.mesh.data, config.mesh.fsdp, config.mesh.tensor = -1, 1, 1  # whatever the devices were in training
    experiment = experiment_of(config, examples=len(open_data(config.data)))
    with contextlib.closing(open_checkpoints(Path(workdir), config, read_only=True)) as checkpoints:
        state = checkpoints.restore(experiment.state, step, log=say)
    if state is None:
        raise UserError("no checkpoint in this workdir", where=str(workdir), remedy="train first")
    return experiment, state


def experiment_of(config, *, examples: int) -> Experiment:
    """The built experiment of a config, its batches being what the data pipeline makes."""
    check_vocabulary(config)
    shapes = batch_shapes(config.data, tuple(config.streams), config.batch_size)
    return build_experiment(
        config, examples=examples, batch_shapes={k: jax.ShapeDtypeStruct(*v) for k, v in shapes.items()}
    )


def open_checkpoints(workdir: Path, config, *, read_only: bool = False) -> Checkpoints:
    """The checkpoints of a workdir, kept as `config.checkpoint` says."""
    c, folder = config.checkpoint, workdir / "checkpoints"
    return Checkpoints(folder, keep=c.keep, best=c.best, best_mode=c.best_mode, read_only=read_only)


def check_vocabulary(config) -> None:
    """Raise `UserError` if a text tower, or an objective that predicts words, has no room for the tokenizer's ids."""
    tokens = make_tokenizer(config.data.tokenizer, config.data.context).vocab_size
    for name, tower in config.towers.items():
        if tower.get("vocab_size", tokens) < tokens:
            raise UserError(
                f"the tokenizer has {tokens} tokens, the tower {name!r} room for {tower.vocab_size}",
                where=f"config.towers.{name}.vocab_size, config.data.tokenizer",
                remedy=f"set config.towers.{name}.vocab_size = {tokens}",
            )
    for name, objective in config.objectives.items():
        if objective.get("vocabulary", tokens) < tokens:
            raise UserError(
                f"the tokenizer has {tokens} tokens, the objective {name!r} room for {objective.vocabulary}",
                where=f"config.objectives.{name}.vocabulary, config.data.tokenizer",
                remedy=f"set config.objectives.{name}.vocabulary = {tokens}",
            )
