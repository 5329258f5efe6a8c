"""What each batch stream takes from a sample: its modality, and its entry in `config.data.streams` where it has one.

A stream with an entry may be missing: a sample that lacks what it wants gives a row of zeros, and `<stream>_present`
says so. A stream without one draws from everything there is, and a sample without it is unreadable.
"""

from dataclasses import dataclass

from mmjax.errors import UserError
from mmjax.rng import numpy_generator


@dataclass(frozen=True)
class ImageStream:
    """Pictures of particular members.

    Attributes:
        image_keys: endings of the members to draw from, such as "fluent.webp"; none: drawn as without an entry.
        missing: share of samples that count as lacking this stream in training, always the same ones.
    """

    image_keys: tuple = ()
    missing: float = 0.0


@dataclass(frozen=True)
class TextStream:
    """Captions of particular templates or languages.

    Attributes:
        captions: caption templates, each with its weight; none: those of data.captions.
        languages: one is drawn for each example; none: those of data.languages.
        missing: share of samples that count as lacking this stream in training, always the same ones.
    """

    captions: tuple = ()
    languages: tuple = ()
    missing: float = 0.0


@dataclass(frozen=True)
class VectorStream:
    """Vectors of a source that gives arrays.

    Attributes:
        missing: share of samples that count as lacking this stream in training, always the same ones.
    """

    missing: float = 0.0


STREAMS = {"image": ImageStream, "text": TextStream, "vector": VectorStream}


def modality(stream: str) -> str:
    """ "image" of "image" and "image_2"; UserError for a stream that no data can fill."""
    kind = stream.split("_")[0]
    if kind not in STREAMS:
        views = ", ".join(f"{name}, {name}_2" for name in STREAMS)
        raise UserError(f"unknown stream {stream!r}", where="config.streams", remedy=f"use {views}, ...")
    return kind


def may_be_missing(data, stream: str) -> bool:
    """Whether batches say which rows of a stream are present: whether it has an entry in `config.data.streams`."""
    return stream in data.streams


def stream_options(data, stream: str):
    """The entry of a stream as an object of its kind; without an entry, that kind's defaults."""
    options = dict(data.streams.get(stream, {}))
    options.pop("kind", None)
    return STREAMS[modality(stream)](**options)


def is_dropped(share: float, seed: int, stream: str, record: int) -> bool:
    """Whether a record counts as lacking a stream; those of a smaller share are among those of a larger one."""
    return share > 0 and numpy_generator(seed, f"data/{stream}/missing", record).random() < share


def check_streams(data, streams) -> None:
    """Raise `UserError` for an entry of `config.data.streams` that fits none of `streams`, or cannot be."""
    for name, entry in data.streams.items():
        where = f"config.data.streams.{name}"
        if name not in streams:
            known = ", ".join(streams)
            raise UserError(f"no stream {name!r} is trained", where=where, remedy=f"streams here: {known}")
        if entry["kind"] != modality(name):
            remedy = f"write stream({modality(name)!r}, ...)"
            raise UserError(f"{name!r} is no stream of kind {entry['kind']!r}", where=where, remedy=remedy)
        if not 0 <= entry["missing"] < 1:
            remedy = "give a share of at least 0 and below 1"
            raise UserError(f"missing is {entry['missing']}", where=f"{where}.missing", remedy=remedy)
        if entry.get("captions"):
            check_captions(entry["captions"], f"{where}.captions")


def check_captions(captions, where: str) -> None:
    """Raise `UserError` unless `captions` are (template, weight) pairs."""
    if not captions or not all(isinstance(c, tuple) and len(c) == 2 and c[1] > 0 for c in captions):
        raise UserError(
            f"captions are a tuple of (template, weight) pairs, not {captions!r}",
            where=where,
            remedy='write (("{txt}", 1.0),)',
        )
