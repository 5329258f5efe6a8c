"""Retrieval by a score of two sets of tokens, one block of pairs at a time, over the devices of a mesh."""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation import sharded
from mmjax.evaluation.names import base_names
from mmjax.evaluation.ranking import placed_ranks, placed_topk
from mmjax.evaluation.result import Result
from mmjax.evaluation.retrieval import chance_recall, check_ids, rank_metrics
from mmjax.losses.tokens import tile_rows, token_rows

BLOCK = 256  # most rows of a block, of which a score may make more than their tokens are


@dataclasses.dataclass(frozen=True)
class TokenRetrieval:
    """Retrieval between the two streams of an objective on tokens, ranked by its score with what it has learned.

    Where the score has two directions, each side's queries rank by their own. Among equal scores the earlier row of the
    gallery comes first.

    Attributes:
        source: what is evaluated, as data.source.
        objective: name in config.objectives of an objective on tokens, such as filip, cico, xpool, glscl, fdt, hbi.
        captions: template of the captions.
        language: of captions and sounds that come in several; empty: the first that the stream takes.
        every: time between evaluations; one more at the end.
    """

    source: str
    objective: str
    captions: str = "{txt}"
    language: str = ""
    every: str = "25%"

    def __call__(self, embeddings) -> Result:
        """The metrics of `mmjax.evaluation.retrieval` in both directions."""
        streams, score, params = learned_score(embeddings, self)
        sides = [embeddings.tokens(self.source, s, captions=self.captions, language=self.language) for s in streams]
        names = base_names(embeddings, streams)
        metrics = token_retrieval(score, params, *sides, names=names, mesh=embeddings.mesh)
        return Result(metrics, chance_recall(*(side.records for side in sides), names=names))

    def check(self, part) -> None:
        """Raise `UserError` for an objective without a score of two streams."""
        token_score(part, self.objective)
        if len(part.streams) != 2:
            remedy = "use kind group_retrieval"
            raise UserError(f"objective {self.objective!r} compares {', '.join(part.streams)}", remedy=remedy)


def learned_score(embeddings, evaluation):
    """(streams, score, what the score has learned) of an evaluation's objective, once it is checked."""
    part, params = embeddings.objective(evaluation.objective)
    evaluation.check(part)
    return part.streams, part.score(), params.get("score", {})


def token_score(part, name: str):
    """The score of an objective on tokens; UserError for any other objective."""
    if not callable(getattr(part, "score", None)):
        raise UserError(f"objective {name!r} has no score of tokens", remedy="name one such as filip, cico or fdt")
    return part.score()


@flax.struct.dataclass
class Similarity:
    """How alike queries and a gallery are by a score of tokens, for the steps of `sharded.fold`.

    Attributes:
        params: what the score has learned.
        score: a `mmjax.losses.tokens_scores.Score`.
        first: whether the queries are the score's first side.
    """

    params: Any
    score: Any = flax.struct.field(pytree_node=False)
    first: bool = flax.struct.field(pytree_node=False)

    def queries(self, block: dict) -> dict:
        """A block of tokens, masks and vectors as this score takes them for its queries, under `x`."""
        rows = token_rows(block["tokens"], block["mask"], vector=block["vector"])
        return {"x": self.score.prepare(rows, self.params, first=self.first), "index": block["index"]}

    def __call__(self, queries: dict, gallery: dict):
        """(Q, G) scores of two blocks; what is not finite is infinite, and so is found among the nearest."""
        x, y = queries["x"], gallery["x"]
        scores = self.score(x, y, self.params)[0] if self.first else self.score(y, x, self.params)[1].T
        return sharded.comparable(jnp.where(jnp.isfinite(scores), scores, jnp.inf), gallery)


def token_retrieval(score, params, x, y, *, names, mesh=None) -> dict[str, float]:
    """The metrics of `mmjax.evaluation.retrieval` both ways, each by its own direction of the score.

    The tokens lie split over the devices; each holds one block of scores, however many rows there are.

    Args:
        score: a `mmjax.losses.tokens_scores.Score`.
        params: what it has learned.
        x, y: both sides, `EmbeddedTokens`.
        names: of the sides.
        mesh: devices to use; this process's first one if not given.

    Raises:
        UserError: as for `retrieval`, and for scores that are not finite.
    """
    mesh, ids = mesh or sharded.one_device(), (x.records, y.records)
    ways = Similarity(params, score, True), Similarity(params, score, False)
    block = min(BLOCK, tile_rows(score.numbers(*(_one_row(way, side) for way, side in zip(ways, (x, y), strict=True)))))
    for i, pair in ((0, names), (1, names[::-1])):
        check_ids(ids[i], ids[1 - i], pair)
    rows = [
        sharded.each(_queries, sharded.place(mesh, block, **_arrays(side)), mesh, (way,))
        for way, side in zip(ways, (x, y), strict=True)
    ]
    there = _one_way(ways[0], *rows, *ids, names=names, block=block, mesh=mesh)
    return there | _one_way(ways[1], *rows[::-1], *ids[::-1], names=names[::-1], block=block, mesh=mesh)


def _one_way(similarity, queries, gallery, x_ids, y_ids, *, names, **how) -> dict[str, float]:
    ranks = placed_ranks(queries, gallery, x_ids, y_ids, common=(similarity,), **how)
    nearest, scores = placed_topk(queries, gallery, min(10, len(y_ids)), len(x_ids), common=(similarity,), **how)
    if not np.isfinite(scores).all():
        raise UserError(f"scores of {names[0]} and {names[1]} are not finite", remedy="look for a diverged model")
    return rank_metrics(ranks, nearest, x_ids, y_ids, names=names)


def _arrays(side) -> dict[str, np.ndarray]:
    return {"tokens": side.tokens, "mask": side.mask, "vector": side.vectors}


def _one_row(similarity, side):
    """Shapes of one row of a side as the score takes it."""
    row = {name: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype) for name, a in _arrays(side).items()}
    return jax.eval_shape(similarity.queries, row | {"index": jax.ShapeDtypeStruct((1,), np.int32)})["x"]


def _queries(block, similarity):
    return similarity.queries(block)
