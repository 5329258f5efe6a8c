"""Samples with their members decoded once, and kept in memory while a small source fits."""

from collections.abc import Callable

import numpy as np

from mmjax.data.captions import text_fields
from mmjax.data.unreadable import Fault, Lacking, Unreadable

MEBIBYTE = 2**20
BYTES_PER_PIXEL = 4  # of Pillow's RGB
OBJECTS_PER_BYTE = 4  # parsed JSON against its text, roughly


class Sample:
    """One record: raw members, decoded when first asked for.

    Attributes:
        key, url: which sample it is.
        members: the names of its members.
        raw: the members: bytes by ending, arrays by stream.
    """

    def __init__(self, raw: dict, members: tuple[str, ...], claim: Callable[[int], bool]):
        self.key, self.url = raw.pop("__key__"), raw.pop("__url__")
        self.raw, self.members, self._claim = raw, members, claim
        self._decoded: dict[tuple[str, str], object] = {}
        self._fields: dict | None = None

    def decoded(self, member: str, form: str, decode: Callable[[bytes], object]):
        """One member as a picture or an array.

        Args:
            member: its name.
            form: what `decode` makes of it, in words: the same form is decoded once.
            decode: from the member's bytes.

        Raises:
            Unreadable: what `decode` raises, the member's name put in.
        """
        found = self._decoded.get((member, form))
        if found is None:
            found = self.apply(decode, member)
            if self._claim(_decoded_bytes(found)):
                self._decoded[member, form] = found
        return found

    def apply(self, decode: Callable[[bytes], object], member: str):
        """`decode` of one member, not kept; Lacking if it is not there, Unreadable with its name if it is broken."""
        if member not in self.raw:
            raise Lacking("the sample lacks a member that its index has", member)
        try:
            return decode(self.raw[member])
        except Unreadable as fault:
            raise type(fault)(fault.reason, f"{member}: {fault.detail}".removesuffix(": ")) from fault

    def array(self, stream: str) -> np.ndarray:
        """The array that the source gives for a stream; Lacking if it gives none."""
        if stream not in self.raw:
            raise Lacking("no such vector in the sample", stream)
        return self.raw[stream]

    def fields(self) -> dict:
        """What caption templates can name; Unreadable if a JSON member is broken."""
        if self._fields is None:
            self._fields = text_fields(self.raw)
        return self._fields


class Samples:
    """`samples[record] -> Sample`, of a source; one that could never fit into the cache is not kept at all.

    Args:
        source: a random-access source of raw members.
        cache: bytes of memory to keep samples in.
    """

    def __init__(self, source, cache: int):
        self.source, self._cache = source, cache
        self._kept: dict[int, Sample] = {}
        self._free = self._cache if source.nbytes <= self._cache else 0

    def __getitem__(self, record: int) -> Sample:
        sample = self._kept.get(record)
        if sample is None:
            raw = self.source[record]
            size = sum(map(_raw_bytes, raw, raw.values()))
            sample = Sample(raw, self.members(record), self._claim)
            if self._claim(size):
                self._kept[record] = sample
        return sample

    def members(self, record: int) -> tuple[str, ...]:
        """The names of a record's members, without reading it."""
        return self.source.members(record)

    def fault(self, record: int, error: Unreadable) -> Fault:
        """What to report when a record cannot be used."""
        try:
            key = self[record].key
        except Unreadable:
            key = f"sample {record}"
        return Fault(error.reason, self.source.url(record), key, error.detail)

    def _claim(self, size: int) -> bool:
        """Whether `size` more bytes fit; only fills, never evicts: in random order that keeps the same share warm."""
        if size > self._free:
            return False
        self._free -= size
        return True

    def __reduce__(self):
        """A worker process begins with nothing kept."""
        return Samples, (self.source, self._cache)


def _raw_bytes(name, value) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, dict):
        return OBJECTS_PER_BYTE * sum(len(str(item)) for item in value.values())
    return len(value) * (OBJECTS_PER_BYTE if name.endswith("json") else 1)


def _decoded_bytes(value) -> int:
    return value.nbytes if isinstance(value, np.ndarray) else value.width * value.height * BYTES_PER_PIXEL
