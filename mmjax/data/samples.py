"""Samples with their members decoded once, and kept in memory while a small source fits."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from mmjax.data.captions import text_fields
from mmjax.data.unreadable import Fault, Lacking, Unreadable

PICTURES = ("jpg", "jpeg", "png", "webp")
CACHE_BYTES = 2**28
BYTES_PER_PIXEL = 4  # of Pillow's RGB
OBJECTS_PER_BYTE = 4  # parsed JSON against its text, roughly


class Sample:
    """One record: raw members, decoded when first asked for."""

    def __init__(self, raw: dict, prepare: Callable[[bytes], Image.Image], claim: Callable[[int], bool]):
        self.key, self.url = raw.pop("__key__"), raw.pop("__url__")
        self._raw, self._prepare, self._claim = raw, prepare, claim
        self._pictures: dict[str, Image.Image] = {}
        self._fields: dict | None = None

    def picture(self, member: str) -> Image.Image:
        """The prepared picture of one member; Unreadable if it does not decode."""
        picture = self._pictures.get(member)
        if picture is None:
            picture = self._prepare(self._raw[member])
            if self._claim(picture.width * picture.height * BYTES_PER_PIXEL):
                self._pictures[member] = picture
        return picture

    def vector(self, stream: str) -> np.ndarray:
        """The (F,) float32 that the source gives for a stream of vectors; Lacking if it gives none."""
        if stream not in self._raw:
            raise Lacking("no such vector in the sample", stream)
        return self._raw[stream]

    def fields(self) -> dict:
        """What caption templates can name; Unreadable if a JSON member is broken."""
        if self._fields is None:
            self._fields = text_fields(self._raw)
        return self._fields


class Samples:
    """`samples[record] -> Sample`, of a source; one that could never fit into CACHE_BYTES is not kept at all.

    Args:
        source: a random-access source of raw members.
        prepare: bytes to the picture that augmentation starts from.
        image_keys: endings of the members that are pictures; none means PICTURES.
    """

    def __init__(self, source, prepare: Callable[[bytes], Image.Image], image_keys=()):
        self.source, self._prepare = source, prepare
        self._endings = tuple("." + key for key in (image_keys or PICTURES))
        self._kept: dict[int, Sample] = {}
        self._free = CACHE_BYTES if source.nbytes <= CACHE_BYTES else 0

    def __getitem__(self, record: int) -> Sample:
        sample = self._kept.get(record)
        if sample is None:
            raw = self.source[record]
            size = sum(len(data) for data in raw.values()) * OBJECTS_PER_BYTE
            sample = Sample(raw, self._prepare, self._claim)
            if self._claim(size):
                self._kept[record] = sample
        return sample

    def pictures(self, record: int, image_keys=()) -> list[str]:
        """The members of a record that are pictures (those that end in `image_keys`, if any), without reading it."""
        endings = tuple("." + key for key in image_keys) or self._endings
        return [name for name in self.source.members(record) if f".{name}".endswith(endings)]

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
        return Samples, (self.source, self._prepare, [ending[1:] for ending in self._endings])
