"""What types alone cannot tell of a config: choices, durations, and names that refer to one another."""

from pathlib import Path

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
    _check_objectives(config)
    _check_evaluations(config)


def check_features(config: ConfigDict, names, where: str) -> None:
    """Raise `UserError` for a name that no stream or head has, and that is no teacher's ("ema/image")."""
    for name in names:
        teacher, _, feature = name.rpartition("/")
        known = _features_of(config, teacher)
        if known is None or feature in known:
            continue
        heads, teachers = ", ".join(config.heads), ", ".join(config.teachers)
        here = f"streams here: {', '.join(config.streams)}"
        here += f"; heads: {heads}" * bool(heads) + f"; teachers: {teachers}" * bool(teachers)
        here += f"; of {teacher!r}: {', '.join(known)}" * bool(known and teacher)
        raise UserError(f"the stream {name!r} does not exist", where=where, remedy=here)


def _features_of(config: ConfigDict, teacher: str) -> tuple[str, ...] | None:
    """Names of the features of a teacher, or of this model for ""; None where it is a run that is yet to be made."""
    if not teacher or teacher in config.teachers and config.teachers[teacher].kind != "run":
        return (*config.streams, *config.heads)
    if teacher not in config.teachers:
        return ()
    from mmjax.training.workdir import read_config

    workdir = config.teachers[teacher].workdir
    if not (Path(workdir) / "config.json").exists():
        return None
    other = read_config(workdir)
    return (*(stream for stream in other.streams if stream in config.streams), *other.heads)


def _check_objectives(config: ConfigDict) -> None:
    """Raise `UserError` for an option of an objective that names what is not there."""
    from mmjax.objectives import OBJECTIVES

    for name, entry in config.objectives.items():
        objective, where = OBJECTIVES[entry.kind](**options_of(entry), parent=None), f"config.objectives.{name}"
        if entry.get("teacher", "") and entry.teacher not in config.teachers:
            here = f"teachers here: {', '.join(config.teachers) or 'none'}"
            raise UserError(f"no teacher {entry.teacher!r}", where=f"{where}.teacher", remedy=here)
        named = objective.named if hasattr(objective, "named") else {"streams": objective.streams}
        for option, names in named.items():
            check_features(config, names, f"{where}.{option}")


def _check_evaluations(config: ConfigDict) -> None:
    """Raise `UserError` for an evaluation that cannot be, or whose streams or objective are not there."""
    from mmjax.evaluation.kinds import build_evaluations
    from mmjax.objectives import build_objective

    objective = build_objective(config, examples=1)
    for name, evaluation in build_evaluations(config).items():
        where = f"config.evaluations.{name}"
        parse_duration(evaluation.every, where=f"{where}.every")
        check_features(config, getattr(evaluation, "streams", ()), f"{where}.streams")
        if hasattr(evaluation, "objective"):
            evaluation.check(objective.part(evaluation.objective))


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
        if config.heads[name].kind == "same":
            _check_same(config, config.heads[name].of, where)
        behind = set(names)
        while further := {n for b in behind & reads.keys() for n in reads[b]} - behind:
            behind |= further
        if name in behind:
            raise UserError("the head is made of its own features", where=where, remedy="let it read a stream")


def _check_same(config: ConfigDict, of: str, where: str) -> None:
    others = [name for name, entry in config.heads.items() if "stream" in entry and entry.kind != "same"]
    if of not in others:
        remedy = f"heads of one stream here: {', '.join(others) or 'none'}"
        raise UserError(f"no head {of!r} that another stream can take", where=f"{where}.of", remedy=remedy)


def _check_whole(config: ConfigDict) -> None:
    for path in (*(path for path, _ in leaves(KEYS)), *OPEN_SECTIONS):
        try:
            lookup(config, path)
        except (KeyError, TypeError):
            raise UserError(f"the config lacks the key {path!r}", remedy="start from mmjax.config.default()") from None
