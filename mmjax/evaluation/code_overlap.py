"""Which codes of a shared codebook two modalities use for the same sample."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation import sharded
from mmjax.evaluation.group_retrieval import first_tokens, in_common
from mmjax.evaluation.result import Result
from mmjax.evaluation.token_retrieval import BLOCK, Similarity, learned_score, token_score
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
        streams, score, params = learned_score(embeddings, self)
        asked = {"captions": self.captions, "language": self.language}
        sides = [first_tokens(embeddings.tokens(self.source, s, **asked)) for s in streams]
        x, y = in_common(sides, self.source)
        if len(x.records) < 2:
            what = f"{len(x.records)} records have both {' and '.join(streams)}"
            raise UserError(what, where=self.source, remedy="evaluate two records or more")
        matched, other, in_use = overlaps(score, params, x, y, mesh=embeddings.mesh)
        return Result({"matched_overlap": matched, "other_overlap": other, "codes_in_use": in_use})

    def check(self, part) -> None:
        """Raise `UserError` for an objective without a codebook."""
        if not hasattr(token_score(part, self.objective), "shares"):
            raise UserError(f"objective {self.objective!r} has no codebook", remedy="name one of kind fdt")


def overlaps(score, params, x, y, *, mesh=None) -> tuple[float, float, float]:
    """The metrics of `CodeOverlap`, some rows at a time on every device, so that no codes of all rows are held.

    Args:
        score: a `mmjax.losses.tokens_codebook.Codebook`.
        params: what it has learned.
        x, y: `EmbeddedTokens` of the same records in the same order.
        mesh: devices to use; this process's first one if not given.
    """
    mesh, sides = mesh or sharded.one_device(), {"x": x, "y": y}
    arrays = {f"{name}_tokens": side.tokens for name, side in sides.items()}
    arrays |= {f"{name}_mask": side.mask for name, side in sides.items()}
    arrays |= {f"other_{name}": np.roll(arrays[f"y_{name}"], 1, axis=0) for name in ("tokens", "mask")}
    placed = sharded.place(mesh, BLOCK, **arrays)
    found = sharded.each(_overlaps, placed, mesh, (Similarity(params, score, first=True),))
    matched, other, in_use = sharded.fetch(found, len(x.records), mesh)
    return float(matched.mean()), float(other.mean()), float(in_use.mean())


def _overlaps(block, how):
    """Of each row of a block the Jaccard index of the codes of x and y, of x and the other y, and the codes' share."""
    x, y, other = (
        how.score.shares(token_rows(block[f"{name}_tokens"], block[f"{name}_mask"]), how.params) > 0
        for name in ("x", "y", "other")
    )
    return jaccard(x, y), jaccard(x, other), (x.mean(1) + y.mean(1)) / 2


def jaccard(x, y):
    """(N,) size of the intersection of two sets over that of their union; x, y are (N, C) bool."""
    return (x & y).sum(1) / jnp.maximum((x | y).sum(1), 1)
