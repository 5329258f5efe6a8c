"""Composition scores where each side of a pair is a stream of its own."""

import dataclasses
import functools

import numpy as np

from mmjax.data.streams import modality
from mmjax.errors import UserError
from mmjax.evaluation.composition import composition_scores
from mmjax.evaluation.cross import first_rows
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.result import Result


@dataclasses.dataclass(frozen=True)
class StreamComposition:
    """Composition scores of records that hold two things and their two descriptions as four streams.

    Attributes:
        source: what is evaluated, as data.source.
        streams: the two things, then their descriptions in the same order.
        every: time between evaluations; one more at the end.
    """

    source: str
    streams: tuple = ("vector", "vector_4", "vector_2", "vector_3")
    every: str = "25%"

    def __post_init__(self):
        if len(self.streams) != 4:
            raise UserError(f"{len(self.streams)} streams", remedy="name two things and their two descriptions")

    def __call__(self, embeddings: Embeddings) -> Result:
        """`text_score`, `<modality of the things>_score` and `group_score` of `composition_scores`."""
        sides = [first_rows(embeddings.rows(self.source, stream)) for stream in self.streams]
        shared = functools.reduce(np.intersect1d, (records for _, records in sides))
        things, texts = (
            np.stack([vectors[np.searchsorted(records, shared)] for vectors, records in pair], 1)
            for pair in (sides[:2], sides[2:])
        )
        scores = composition_scores(np.einsum("nid,njd->nij", things, texts), name=modality(self.streams[0]))
        return Result(scores, dict(zip(scores, (1 / 4, 1 / 4, 1 / 6), strict=True)))
