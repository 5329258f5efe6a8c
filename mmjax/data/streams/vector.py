"""Vectors that a source gives as arrays."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from mmjax.data.decoding.npy import as_float32
from mmjax.data.inspection.show import numbers_tag
from mmjax.data.streams.base import Stream


class VectorRow(NamedTuple):
    """One vector of a source and the record it belongs to."""

    record: int
    vector: np.ndarray


@dataclass(frozen=True)
class VectorStream(Stream):
    """Vectors of a source that gives arrays."""

    kind: ClassVar[str] = "vector"
    noun: ClassVar[str] = "vector"
    in_memory: ClassVar[bool] = True

    def shapes(self):
        """(F,) float32, as wide as the source says."""
        return {"": ((self._width,), np.float32)}

    @cached_property
    def _width(self) -> int:
        from mmjax.data.mixture import vector_width  # sources select their samples by streams

        return vector_width(self.data, self.name)

    def shapes_of(self, rows):
        """(F,) float32, as wide as the first."""
        return {"": (rows[0].vector.shape, np.float32)}

    def draw(self, sample, draws):
        """The vector (F,)."""
        return as_float32(sample.array(self.name), self.name)

    def rows(self, samples, record):
        """The one vector of a record."""
        return [VectorRow(record, as_float32(samples[record].array(self.name), self.name))]

    def read(self, samples, row):
        """The vector of a row."""
        return row.vector

    def html(self, value):
        """Its first numbers."""
        return numbers_tag(value)
