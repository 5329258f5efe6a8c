"""Every key of an experiment, its default and its meaning; strict loading; validation.

A config file defines `get_config(arg="")`, which starts from `default()` and changes what it needs:

    from mmjax import config as c

    def get_config(arg=""):
        config = c.default()
        config.duration = "20 epochs"
        config.towers.image = c.tower("vit", "B/16", image_size=224)
        return config

Unknown keys and wrong types are errors in the file, on the command line and inside every named entry.
"""

import dataclasses
import difflib
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import ml_collections

from mmjax.durations import parse_duration
from mmjax.errors import UserError

ConfigDict = ml_collections.ConfigDict


class Key(NamedTuple):
    """One key: its default, its one-line meaning, and the allowed values where they are few."""

    default: Any
    meaning: str
    choices: tuple = ()


KEYS = {
    "seed": Key(0, "root of every random choice: parameters, data order, augmentation, dropout"),
    "duration": Key("1000 steps", "length of training: 'N steps', 'N epochs' or 'N examples'"),
    "batch_size": Key(128, "examples of one step, over all devices and processes"),
    "microbatches": Key(1, "parts in which a step's examples are encoded to save memory; gradients stay exact"),
    "embed_dim": Key(512, "width of the shared embedding space"),
    "activations": Key("auto", "dtype of activations; auto: bfloat16 but for CPUs", ("auto", "float32", "bfloat16")),
    "init_from": Key("", "workdir or checkpoint folder whose weights start this run; what matched is reported"),
    "init_towers": Key((), "((tower there, tower here), ...): towers that take another one's weights from init_from"),
    "on_nonfinite": Key(
        "stop",
        "a step whose loss or gradients are not finite: stop the run, or skip the step and count it",
        ("stop", "skip"),
    ),
    "ema_decay": Key(0.0, "decay of the moving average of parameters that is evaluated; 0: none"),
    "data": {
        "source": Key(
            "emoji:train", "'emoji:SPLIT', 'xor:SETTINGS', or tars: a path, a glob, a brace range, joined by '::'"
        ),
        "where": Key((), "conditions on samples' fields, such as (('similarity', '>=', 0.28),); others are left out"),
        "unique": Key("", "field of which every value is used once; empty: all samples"),
        "uids": Key("", "file of the uids of the samples used: .npy as DataComp writes it, or text; empty: all"),
        "groups": Key(
            "", ".npy of one group number for every sample of the source: a batch is of one group; empty: all"
        ),
        "label": Key("", "field that says which samples are of one class or identity: `label` of a batch; empty: none"),
        "image_keys": Key((), "endings of the members to draw a picture from; none: any jpg, png, webp, bmp or tif"),
        "audio_keys": Key((), "endings of the members to draw a sound from; none: any wav, flac, ogg, opus or mp3"),
        "video_keys": Key((), "endings of the members to draw a clip from; none: any video, gif, animated webp or npy"),
        "series_keys": Key((), "endings of the members to draw a time series from; none: any npy"),
        "image_size": Key(64, "side in pixels of the pictures that reach the model"),
        "resize": Key(
            "crop",
            "crop: shortest side, then centre; squash: ignore the aspect; pad: white borders",
            ("crop", "squash", "pad"),
        ),
        "decoder": Key(
            "pillow",
            "of pictures for training; turbo: crops of JPEGs by libjpeg-turbo and OpenCV (extra: fast), nearly alike",
            ("pillow", "turbo"),
        ),
        "captions": Key((("{txt}", 1.0),), "caption templates over a sample's text fields, each with its weight"),
        "languages": Key(("en",), "one is drawn for each example where a text field is given by language"),
        "tokenizer": Key("emoji", "'emoji', 'emoji-multilingual', or the path of a tokenizer.json"),
        "context": Key(16, "tokens of a caption; longer ones are cut, the last token kept"),
        "audio": {
            "sample_rate": Key(48000, "samples a second of the sounds that reach the model"),
            "seconds": Key(5.0, "length of a clip of sound; shorter sounds are padded and masked"),
            "crop": Key(
                "random",
                "part of a longer sound; random: in evaluation the middle; repeat: the middle, short sounds repeated",
                ("random", "center", "start", "repeat"),
            ),
        },
        "video": {
            "frames": Key(8, "frames of a clip"),
            "sampling": Key(
                "random",
                "training frames: uniform, random (one a segment), slow, fast, clip:STRIDE; in evaluation uniform",
            ),
        },
        "series": {
            "steps": Key(256, "steps of a time series; shorter ones are padded and masked"),
            "channels": Key(1, "values of a time series at each step"),
            "crop": Key(
                "random",
                "part of a longer time series; random: in evaluation the middle",
                ("random", "center", "start"),
            ),
        },
        "threads": Key(4, "reading threads of a process, shared out among its workers"),
        "workers": Key(0, "worker processes; 0: read in the training process"),
        "prefetch": Key(8, "batches that wait ready on the host"),
        "cache": Key(256, "MiB of memory of a process for samples and what is decoded of them, where a source fits"),
        "max_unreadable": Key(0.01, "largest share of unreadable samples before the run stops"),
    },
    "mesh": {
        "data": Key(-1, "devices along which the batch is split and parameters are copied; -1: all the rest"),
        "fsdp": Key(1, "devices along which the batch and the parameters are split; -1: all the rest"),
        "tensor": Key(1, "devices along which heads and hidden units are split; -1: all the rest"),
        "rules": Key((), "((pattern, axes), ...) put before the default partition rules"),
    },
    "optimizer": {
        "name": Key("adamw", "update rule", ("adamw", "lion", "adafactor", "lamb", "muon", "sgd")),
        "learning_rate": Key(1e-3, "peak learning rate"),
        "b1": Key(0.9, "decay of the first moment, or momentum"),
        "b2": Key(0.98, "decay of the second moment"),
        "eps": Key(1e-6, "added to the root of the second moment"),
        "weight_decay": Key(0.2, "decoupled decay, times the learning rate"),
        "no_decay": Key(
            "position_embedding|class_embedding|probe|logit_",
            "parameters whose path matches are not decayed; nor is any with less than two axes",
        ),
        "rules": Key((), "((pattern, learning-rate factor, decay factor), ...); first match; factor 0 freezes"),
        "clip_norm": Key(1.0, "largest global norm of the gradient; 0: no clipping"),
    },
    "schedule": {
        "name": Key("cosine", "course of the learning rate", ("cosine", "rsqrt", "linear", "constant")),
        "warmup": Key("5%", "linear warm-up from 0"),
        "cooldown": Key("0 steps", "linear cool-down to 0 at the end"),
        "end": Key(0.0, "learning rate at the end of cosine and linear, as a share of the peak"),
        "timescale": Key("10%", "time after which rsqrt has fallen to 1/sqrt(2)"),
    },
    "checkpoint": {
        "every": Key("10%", "time between checkpoints; one more at the end and at a stop signal"),
        "keep": Key(2, "newest checkpoints kept"),
        "best": Key("", "metric whose best checkpoint is kept as well, such as 'val/unseen/image_to_text_R@1'"),
        "best_mode": Key("max", "whether more or less of that metric is better", ("max", "min")),
    },
    "log": {
        "every": Key("10 steps", "time between lines of metrics.jsonl"),
        "tensorboard": Key(False, "write tensorboard/ too (extra: tensorboard)"),
        "wandb": Key("", "project of Weights & Biases to log to as well (extra: wandb)"),
    },
    "profile": {
        "start": Key(-1, "step at which a profile begins; -1: never"),
        "steps": Key(5, "steps that the profile covers"),
    },
}

OPEN_SECTIONS = {
    "towers": "one encoder for each name: tower(kind, size, ...)",
    "streams": "batch stream -> tower that encodes it, such as image_2 = 'image'",
    "heads": "further features of a stream, under a name of their own: head(kind, stream='image', ...)",
    "teachers": "models that are not trained, whose features are '<teacher>/<stream>': teacher(kind, ...)",
    "objectives": "weighted parts of the training loss: objective(kind, ...)",
    "evaluations": "what is measured, on what, how often: evaluation(kind, ...)",
    "data.mixture": "sources drawn from by weight instead of data.source: part(source, ...)",
    "data.streams": "streams that may be missing, and what of a sample they take: stream(kind, ...)",
    "data.augment": "augmentations of training pictures and clips: augment(kind, ...)",
    "data.audio_augment": "augmentations of training sounds: audio_augment(kind, ...)",
}
# Keys that leave the numbers of a run as they are, so that a resumed run may change them.
FREE_ON_RESUME = (
    *("mesh.", "log.", "profile.", "checkpoint."),
    *("data.threads", "data.workers", "data.prefetch", "data.cache", "on_nonfinite"),
)
DURATIONS = ("duration", "schedule.warmup", "schedule.cooldown", "schedule.timescale", "checkpoint.every", "log.every")
PROJECTIONS = ("linear", "affine", "none")


def default() -> ConfigDict:
    """A new config with every key at its default and empty open sections, locked against unknown keys."""
    config = ConfigDict(_defaults(KEYS))
    for path in OPEN_SECTIONS:
        *parents, name = path.split(".")
        section = config
        for parent in parents:
            section = section[parent]
        section[name] = ConfigDict()
    config.lock()
    for path in OPEN_SECTIONS:
        lookup(config, path).unlock()
    config.streams.image = "image"
    config.streams.text = "text"
    return config


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


def lookup(config: Mapping, path: str) -> Any:
    """The value under a dotted path such as "optimizer.b1"."""
    for name in path.split("."):
        config = config[name]
    return config


def flatten(config: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of every leaf, in order."""
    for name, value in config.items():
        if isinstance(value, Mapping | ConfigDict) and len(value):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def to_json(config: ConfigDict) -> str:
    """The config as JSON text, keys in order."""
    return json.dumps(config.to_dict(), indent=2)


def from_json(text: str) -> ConfigDict:
    """A config written by `to_json`: lists become tuples again."""

    def revive(value):
        if isinstance(value, dict):
            return {k: revive(v) for k, v in value.items()}
        return tuple(map(revive, value)) if isinstance(value, list) else value

    return ConfigDict(revive(json.loads(text)))


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Lines "key: old -> new" for keys whose change would change the numbers of a run."""
    before, after = dict(flatten(old)), dict(flatten(new))
    changed = [k for k in sorted({*before, *after}) if before.get(k, "absent") != after.get(k, "absent")]
    changed = [k for k in changed if not k.startswith(FREE_ON_RESUME)]
    return [f"{k}: {before.get(k, 'absent')} -> {after.get(k, 'absent')}" for k in changed]


def validate(config: ConfigDict) -> None:
    """Check what types alone cannot: choices, durations, and names that refer to one another.

    Raises:
        UserError: naming the key, its value and what is allowed.
    """
    from mmjax.data.mixture_reader import check_parts
    from mmjax.data.streams import check_captions, check_streams

    _check_whole(config)
    for path, key in _leaves(KEYS):
        value = lookup(config, path)
        if key.choices and value not in key.choices:
            remedy = f"use one of {', '.join(key.choices)}"
            raise UserError(f"{path} = {value!r} is not known", where=f"config.{path}", remedy=remedy)
    for path in DURATIONS:
        parse_duration(lookup(config, path), where=f"config.{path}")
    for path in ("batch_size", "microbatches", "embed_dim", "data.context", "data.image_size"):
        if lookup(config, path) < 1:
            raise UserError(f"{path} must be at least 1", where=f"config.{path} = {lookup(config, path)}")
    if not 0 <= config.seed < 2**32:
        raise UserError("seed must be at least 0 and below 2^32", where=f"config.seed = {config.seed}")
    check_captions(config.data.captions, "config.data.captions")
    check_streams(config.data, config.streams)
    check_parts(config.data, config.streams)
    for stream, name in config.streams.items():
        if name not in config.towers:
            raise UserError(
                f"stream {stream!r} names the tower {name!r}, which does not exist",
                where=f"config.streams.{stream}",
                remedy=f"towers here: {', '.join(config.towers) or 'none'}; add config.towers.{name} = tower(...)",
            )
    if not config.objectives:
        raise UserError("no objective", where="config.objectives", remedy="add one, such as objective('softmax')")
    _check_heads(config)
    for section in ("objectives", "evaluations"):
        for name, entry in config[section].items():
            check_features(config, entry.get("streams", ()), f"config.{section}.{name}.streams")


def check_features(config: ConfigDict, names, where: str) -> None:
    """Raise `UserError` for a name that no stream or head has, and that is no teacher's ("ema/image")."""
    known = (*config.streams, *config.heads)
    for name in names:
        teacher, _, stream = name.rpartition("/")
        another_run = teacher in config.teachers and config.teachers[teacher].kind == "run"
        if name in known or another_run or teacher in config.teachers and stream in known:
            continue
        heads, teachers = ", ".join(config.heads), ", ".join(config.teachers)
        here = f"streams here: {', '.join(config.streams)}"
        here += f"; heads: {heads}" * bool(heads) + f"; teachers: {teachers}" * bool(teachers)
        raise UserError(f"the stream {name!r} does not exist", where=where, remedy=here)


def _check_heads(config: ConfigDict) -> None:
    """Raise `UserError` for a head with a stream's name, that reads what is not there, or its own features."""
    from mmjax.heads import HEADS

    reads = {name: HEADS[e.kind](**options_of(e), parent=None).reads for name, e in config.heads.items()}
    for name, names in reads.items():
        where = f"config.heads.{name}"
        if name in config.streams or "/" in name:
            raise UserError(f"a head cannot be called {name!r}", where=where, remedy="choose a name that nothing has")
        if not any(names):
            raise UserError("the head reads nothing", where=where, remedy="give the stream that it is a head of")
        check_features(config, names, where)
        behind = set(names)
        while further := {n for b in behind & reads.keys() for n in reads[b]} - behind:
            behind |= further
        if name in behind:
            raise UserError("the head is made of its own features", where=where, remedy="let it read a stream")


def _check_whole(config: ConfigDict) -> None:
    for path in (*(path for path, _ in _leaves(KEYS)), *OPEN_SECTIONS):
        try:
            lookup(config, path)
        except (KeyError, TypeError):
            raise UserError(f"the config lacks the key {path!r}", remedy="start from mmjax.config.default()") from None


def nearest(name: str, names) -> str:
    """A sentence that points to the most similar of `names`, and lists them."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return (f"did you mean {close[0]!r}? " if close else "") + f"known: {', '.join(sorted(names))}"


def field_meanings(cls: type) -> dict[str, str]:
    """Field -> meaning, from the `Attributes:` section of a class's docstring, and of its bases' for their fields."""
    options, meanings = {field.name for field in option_fields(cls)}, {}
    for base in reversed(cls.__mro__):
        section = re.split(r"\n\s*Attributes:\s*\n", inspect.cleandoc(vars(base).get("__doc__") or ""))[-1]
        found = re.finditer(r"^  +(\w+): (.+(?:\n {6,}.+)*)", section, re.M)
        meanings |= {m[1]: " ".join(m[2].split()) for m in found if base is cls or m[1] in options}
    return meanings


def markdown() -> str:
    """The reference of all keys, as docs/config.md shows it."""
    lines = ["# Every config key", "", "Written by `python -m mmjax.config`.", ""]
    lines += ["| key | default | meaning |", "|---|---|---|"]
    lines += [f"| `{path}` | `{key.default!r}` | {_cell(key)} |" for path, key in _leaves(KEYS)]
    lines += ["", "Open sections take named entries:", "", "| section | entries |", "|---|---|"]
    lines += [f"| `{path}` | {meaning} |" for path, meaning in OPEN_SECTIONS.items()]
    for title, registry in _registries().items():
        for kind, cls in registry.items():
            lines += ["", f"## {title} `{kind}`", "", "| option | default | meaning |", "|---|---|---|"]
            meanings = field_meanings(cls)
            lines += [f"| `{f.name}` | `{_default(f)!r}` | {meanings[f.name]} |" for f in option_fields(cls)]
    return "\n".join(lines).replace("|'", "\\|'") + "\n"


def option_fields(cls: type) -> list[dataclasses.Field]:
    """The fields of a class that a config may set: not flax's own, nor those that are filled in."""
    return [f for f in dataclasses.fields(cls) if f.name not in ("parent", "name", "slot", "embed_dim")]


def _defaults(keys: Mapping) -> dict:
    return {k: v.default if isinstance(v, Key) else _defaults(v) for k, v in keys.items()}


def _leaves(keys: Mapping, prefix: str = "") -> Iterator[tuple[str, Key]]:
    for name, value in keys.items():
        if isinstance(value, Key):
            yield prefix + name, value
        else:
            yield from _leaves(value, f"{prefix}{name}.")


def _default(field: dataclasses.Field):
    return "required" if field.default is dataclasses.MISSING else field.default


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


def _cell(key: Key) -> str:
    return key.meaning + (f" ({', '.join(key.choices)})" if key.choices else "")


def _registries() -> dict[str, Mapping]:
    from mmjax.data.augments import AUGMENTS
    from mmjax.data.augments.sounds import AUDIO_AUGMENTS
    from mmjax.data.mixture import Part
    from mmjax.data.streams import STREAMS
    from mmjax.encoders import ENCODERS
    from mmjax.evaluation.kinds import EVALUATIONS
    from mmjax.heads import HEADS
    from mmjax.objectives import OBJECTIVES
    from mmjax.teachers import TEACHERS

    return {
        "Tower": ENCODERS,
        "Head": HEADS,
        "Teacher": TEACHERS,
        "Objective": OBJECTIVES,
        "Evaluation": EVALUATIONS,
        "Stream": STREAMS,
        "Mixture": {"part": Part},
        "Augmentation": AUGMENTS,
        "Augmentation of sound": AUDIO_AUGMENTS,
    }


if __name__ == "__main__":
    print(markdown(), end="")
