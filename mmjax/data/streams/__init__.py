"""What each batch stream takes from a sample: its kind, and its entry in `config.data.streams` where it has one.

A stream with an entry may be missing: a sample that lacks what it wants gives a row of zeros, and `<stream>_present`
says so. A stream without one draws from everything there is, and a sample without it is unreadable.
"""

from mmjax.data.streams.audio import AudioStream
from mmjax.data.streams.base import Draws, Slot, Stream
from mmjax.data.streams.image import ImageStream
from mmjax.data.streams.members import MemberStream
from mmjax.data.streams.series import SeriesStream
from mmjax.data.streams.text import TextStream, check_captions
from mmjax.data.streams.vector import VectorStream
from mmjax.data.streams.video import VideoStream
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

__all__ = [
    "STREAMS",
    "Draws",
    "Slot",
    "Stream",
    "check_captions",
    "check_streams",
    "is_dropped",
    "make_stream",
    "make_streams",
    "modality",
]

# A sample's streams are read in this order, so that of several faults the same one is reported.
STREAMS: dict[str, type[Stream]] = {
    kind.kind: kind for kind in (ImageStream, TextStream, VectorStream, AudioStream, VideoStream, SeriesStream)
}


def modality(stream: str) -> str:
    """ "image" of "image" and "image_2"; UserError for a stream that no data can fill."""
    kind = stream.split("_")[0]
    if kind not in STREAMS:
        views = ", ".join(f"{name}, {name}_2" for name in STREAMS)
        raise UserError(f"unknown stream {stream!r}", where="config.streams", remedy=f"use {views}, ...")
    return kind


def make_stream(data, name: str, view: int = 0) -> Stream:
    """A stream as its entry in `config.data.streams` says; without an entry, with its kind's defaults.

    Args:
        data: `config.data`.
        name: such as "image_2".
        view: its number among the streams that share members with it.
    """
    options = {option: value for option, value in data.streams.get(name, {}).items() if option != "kind"}
    return STREAMS[modality(name)](Slot(name, data, view), **options)


def make_streams(data, names) -> list[Stream]:
    """The streams of a batch in the order of STREAMS, each knowing its number among those it shares members with."""
    streams, order = [], list(STREAMS)
    sharing = dict.fromkeys(STREAMS, 0)
    for name in sorted(names, key=lambda name: order.index(modality(name))):
        stream = make_stream(data, name, sharing[modality(name)])
        streams.append(stream)
        sharing[stream.kind] += isinstance(stream, MemberStream) and not stream.own_keys
    return streams


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
    for stream in make_streams(data, streams):
        stream.check()
