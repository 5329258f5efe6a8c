"""Similarity of sentences: do cosines order pairs of sentences as people do?"""

import dataclasses

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation.cross import first_rows
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.result import Result


@dataclasses.dataclass(frozen=True)
class SentenceSimilarity:
    """The rank correlation of cosines with scores that people gave to pairs of sentences, such as STS and SICK.

    Attributes:
        source: what is evaluated, as data.source; a record is a pair.
        first: template of the first sentence.
        second: template of the second.
        score: field of the score.
        language: of sentences that come in several; empty: the first that the stream takes.
        streams: the text stream.
        every: time between evaluations; one more at the end.
    """

    source: str
    first: str = "{sentence1}"
    second: str = "{sentence2}"
    score: str = "score"
    language: str = ""
    streams: tuple = ("text",)
    every: str = "100%"

    def __call__(self, embeddings: Embeddings) -> Result:
        """`spearman`, and `pairs`, how many were compared; chance is 0."""
        (x, of_x), (y, of_y) = (
            first_rows(embeddings.rows(self.source, self.streams[0], captions=template, language=self.language))
            for template in (self.first, self.second)
        )
        records, at_x, at_y = np.intersect1d(of_x, of_y, return_indices=True)
        scores = [_number(s, self.score) for s in embeddings.labels(self.source, self.score, records)]
        correlation = spearman(np.einsum("nd,nd->n", x[at_x], y[at_y]), scores)
        return Result({"spearman": correlation, "pairs": float(len(records))}, {"spearman": 0.0})


def spearman(x, y) -> float:
    """Spearman's rank correlation of (N,) and (N,) numbers, the same as SciPy's.

    Equal numbers share the mean of their ranks.

    Raises:
        UserError: fewer than two pairs, unequal lengths, numbers that are not finite, or all equal on one side.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UserError(f"rank correlation of {x.shape} and {y.shape} numbers", remedy="give two or more finite pairs")
    a, b = (ranks - ranks.mean() for ranks in (mean_ranks(x), mean_ranks(y)))
    if not a.any() or not b.any():
        raise UserError("numbers that are all equal have no rank correlation")
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def mean_ranks(values) -> np.ndarray:
    """(N,) ranks from 1, the smallest first; equal values share the mean of theirs."""
    _, group, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[group]


def _number(text: str, field: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UserError(f"{text!r} is no score", where=f"field {field!r}", remedy="name a field of numbers") from error
