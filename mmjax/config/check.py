"""What types alone cannot tell of a config: choices, durations, and names that refer to one another."""

from ml_collections import ConfigDict

from mmjax.config.entries import options_of
from mmjax.config.keys import DURATIONS, KEYS, OPEN_SECTIONS, leaves
from mmjax.config.values import lookup
from mmjax.durations import parse_duration
from mmjax.errors import UserError


def validate(config: ConfigDict) -> None:
    """Check what types alone cannot: choices, durations, and names that refer to one another.

    Raises:
        UserError: naming the key, its value and what is allowed.
    """
    from mmjax.data.mixture_reader import check_parts
    from mmjax.data.streams import check_captions, check_streams

    _check_whole(config)
    for path, key in leaves(KEYS):
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
    _check_towers(config)
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


def _check_towers(config: ConfigDict) -> None:
    for stream, name in config.streams.items():
        if name not in config.towers:
            raise UserError(
                f"stream {stream!r} names the tower {name!r}, which does not exist",
                where=f"config.streams.{stream}",
                remedy=f"towers here: {', '.join(config.towers) or 'none'}; add config.towers.{name} = tower(...)",
            )


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
    for path in (*(path for path, _ in leaves(KEYS)), *OPEN_SECTIONS):
        try:
            lookup(config, path)
        except (KeyError, TypeError):
            raise UserError(f"the config lacks the key {path!r}", remedy="start from mmjax.config.default()") from None
