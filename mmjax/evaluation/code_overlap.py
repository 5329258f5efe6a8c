"""Which codes of a shared codebook two modalities use for the same sample."""

import dataclasses

import jax
import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation.result import Result
from mmjax.evaluation.token_retrieval import learned_score
from mmjax.losses.tokens import token_rows


@dataclasses.dataclass(frozen=True)
class CodeOverlap:
    """How far the codes of the two sides of matching samples are the same ones (FDT, arXiv 2303.14865).

    Attributes:
        source: what is evaluated, as data.source.
        objective: name in config.objectives of an objective of kind fdt.
        captions: template of the captions.
        language: of captions that come in several; empty: the first that the stream takes.
        every: time between evaluations; one more at the end.
    """

    source: str
    objective: str = "fdt"
    captions: str = "{txt}"
    language: str = ""
    every: str = "100%"

    def __call__(self, embeddings) -> Result:
        """`matched_overlap`, `other_overlap`: mean Jaccard index of the codes in use by the two sides of a record, and
        by one side and the next record's other; `codes_in_use`: mean number of codes of a row, over all codes."""
        streams, score, params = learned_score(embeddings, self.objective)
        if not hasattr(score, "shares"):
            raise UserError(f"objective {self.objective!r} has no codebook", remedy="name one of kind fdt")
        used = [self._used(embeddings, score, params, stream) for stream in streams]
        records = np.intersect1d(used[0][1], used[1][1])
        if len(records) < 2:
            what = f"{len(records)} records have both {' and '.join(streams)}"
            raise UserError(what, where=self.source, remedy="evaluate two records or more")
        x, y = (codes[np.searchsorted(of, records)] for codes, of in used)
        metrics = {
            "matched_overlap": jaccard(x, y),
            "other_overlap": jaccard(x, np.roll(y, 1, axis=0)),
            "codes_in_use": float((x.mean() + y.mean()) / 2),
        }
        return Result(metrics, {})

    def _used(self, embeddings, score, params, stream):
        """(N, codes) bool of the first row of each record, and the records (N,)."""
        side = embeddings.tokens(self.source, stream, captions=self.captions, language=self.language)
        records, first = np.unique(side.records, return_index=True)
        shares = jax.jit(lambda rows: score.shares(rows, params))(token_rows(side.tokens[first], side.mask[first]))
        return np.asarray(shares) > 0, records


def jaccard(x: np.ndarray, y: np.ndarray) -> float:
    """Mean over rows of the size of the intersection of two sets over that of their union; x, y are (N, C) bool."""
    return float(((x & y).sum(1) / np.maximum((x | y).sum(1), 1)).mean())
