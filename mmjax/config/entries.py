"""Named entries of a config's open sections: a kind, and every option of the class behind it."""

import dataclasses
from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from mmjax.errors import UserError, nearest

PROJECTIONS = ("linear", "affine", "none")


def tower(kind: str, size: str = "", *, projection: str = "linear", **options) -> ConfigDict:
    """An entry of `towers`: an encoder of `kind`, of a named `size` ("B/16"), changed by `options`.

    Args:
        kind: a name in `mmjax.encoders.ENCODERS`.
        size: a name of the field for width, depth, heads and patch; empty: the class's defaults.
        projection: what maps the encoder's width to `embed_dim`: linear, affine (with bias) or none.
        **options: fields of the encoder class.
    """
    from mmjax.encoders import ENCODERS
    from mmjax.encoders import size as named_size

    options = {**(named_size(kind, size) if size else {}), **options}
    entry = _entry("encoder", kind, ENCODERS, options, without=("dtype",))
    with entry.unlocked():
        entry.projection = projection
    if projection not in PROJECTIONS:
        raise UserError(f"unknown projection {projection!r}", where=f"tower {kind}", remedy=f"use one of {PROJECTIONS}")
    return entry


def objective(kind: str, **options) -> ConfigDict:
    """An entry of `objectives`: fields of a class in `mmjax.objectives.OBJECTIVES`."""
    from mmjax.objectives import OBJECTIVES

    return _entry("objective", kind, OBJECTIVES, options)


def head(kind: str, **options) -> ConfigDict:
    """An entry of `heads`: fields of a class in `mmjax.heads.HEADS`, most of them with `stream`."""
    from mmjax.heads import HEADS

    return _entry("head", kind, HEADS, options)


def teacher(kind: str, **options) -> ConfigDict:
    """An entry of `teachers`: fields of a class in `mmjax.teachers.TEACHERS`."""
    from mmjax.teachers import TEACHERS

    return _entry("teacher", kind, TEACHERS, options)


def evaluation(kind: str, **options) -> ConfigDict:
    """An entry of `evaluations`: fields of a class in `mmjax.evaluation.kinds.EVALUATIONS`."""
    from mmjax.evaluation.kinds import EVALUATIONS

    return _entry("evaluation", kind, EVALUATIONS, options)


def augment(kind: str, **options) -> ConfigDict:
    """An entry of `data.augment`: fields of a class in `mmjax.data.augments.AUGMENTS`."""
    from mmjax.data.augments import AUGMENTS

    return _entry("augmentation", kind, AUGMENTS, options)


def audio_augment(kind: str, **options) -> ConfigDict:
    """An entry of `data.audio_augment`: fields of a class in `mmjax.data.augments.sounds.AUDIO_AUGMENTS`."""
    from mmjax.data.augments.sounds import AUDIO_AUGMENTS

    return _entry("augmentation of sound", kind, AUDIO_AUGMENTS, options)


def part(source: str, **options) -> ConfigDict:
    """An entry of `data.mixture`: fields of `mmjax.data.mixture.Part`."""
    from mmjax.data.mixture import Part

    return _entry("part of a mixture", "part", {"part": Part}, {"source": source, **options})


def stream(kind: str, **options) -> ConfigDict:
    """An entry of `data.streams`: fields of a class in `mmjax.data.streams.STREAMS`."""
    from mmjax.data.streams import STREAMS

    return _entry("stream", kind, STREAMS, options)


def sweep(cells: Mapping[str, Mapping], *, seeds=(0, 1, 2), baseline: str = "", metrics=()):
    """What `get_sweep()` of a config file returns: the `mmjax.experiments.cells.Sweep` that `mmjax sweep` runs.

    Args:
        cells: name -> changes: "arg" is the argument of get_config, every other key a dotted config key.
        seeds: every cell is run with `config.seed` at each.
        baseline: the cell that the others are compared with, or settings such as "loss=softmax" of cells named as by
            `grid`, each then compared with the one that has its other settings; empty: none.
        metrics: what the sweep is about, such as "val/test/image_to_text_R@1"; none: all shares that were measured.
    """
    from mmjax.experiments.cells import Sweep

    return Sweep(cells, seeds, baseline, metrics)


def grid(choices: Mapping[str, Sequence]) -> dict[str, dict]:
    """Cells of every combination of values, for `sweep`, named such as "temperature=0.05,batch_size=64"."""
    from mmjax.experiments.cells import grid

    return grid(choices)


def options_of(entry: Mapping, *without: str) -> dict:
    """The plain constructor arguments of a named entry, without `kind` and the names given."""
    return {k: v for k, v in entry.items() if k not in ("kind", *without)}


def option_fields(cls: type) -> list[dataclasses.Field]:
    """The fields of a class that a config may set: not flax's own, nor those that are filled in."""
    return [f for f in dataclasses.fields(cls) if f.name not in ("parent", "name", "slot", "embed_dim")]


def _entry(title: str, kind: str, registry: Mapping, options: dict, without=()) -> ConfigDict:
    """A locked entry with every field of the class behind `kind`, `options` put in with their types checked."""
    if kind not in registry:
        raise UserError(f"unknown {title} {kind!r}", remedy=nearest(kind, registry))
    fields = {f.name: f for f in option_fields(registry[kind]) if f.name not in without}
    for name in options:
        if name not in fields:
            raise UserError(f"{title} {kind!r} has no option {name!r}", remedy=nearest(name, fields))
    entry = ConfigDict({"kind": kind})
    for name, field in fields.items():
        if field.default is dataclasses.MISSING:
            if name not in options:
                raise UserError(f"{title} {kind!r} needs the option {name!r}")
            entry[name] = options[name]
            continue
        entry[name] = field.default
        if name in options:
            _set(entry, name, options[name], f"{title} {kind!r}")
    entry.lock()
    return entry


def _set(entry: ConfigDict, name: str, value, where: str) -> None:
    try:
        entry[name] = tuple(value) if isinstance(entry[name], tuple) and isinstance(value, list) else value
    except TypeError as error:
        raise UserError(
            f"{name} = {value!r} has the wrong type", where=where, remedy=f"a {type(entry[name]).__name__} is needed"
        ) from error
