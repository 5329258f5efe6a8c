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
    """Raise `UserError` if what reads or predicts words has no room for the tokenizer's ids.

    Text towers, objectives, and the heads whose weights are compared with a caption's words; the space of others is
    free.
    """
    tokens = make_tokenizer(config.data.tokenizer, config.data.context).vocab_size
    with_words = [e.streams for e in config.objectives.values() if any(e.get("texts", ()))]
    with_words += [e.streams for e in config.evaluations.values() if e.kind == "lexical_retrieval"]
    heads = {name: config.heads[name] for streams in with_words for name in streams if name in config.heads}
    for section, option, entries in (
        ("towers", "vocab_size", config.towers),
        ("objectives", "vocabulary", config.objectives),
        ("heads", "vocabulary", heads),
    ):
        for name, entry in entries.items():
            if (room := entry.get(option, tokens)) < tokens:
                key = f"config.{section}.{name}.{option}"
                what = f"the tokenizer has {tokens} tokens, the {section[:-1]} {name!r} room for {room}"
                raise UserError(what, where=f"{key}, config.data.tokenizer", remedy=f"set {key} = {tokens}")
