"""Retrieval by a score of two sets of tokens, a tile of pairs at a time."""

import dataclasses
from functools import partial

import jax
import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation.names import base_names
from mmjax.evaluation.result import Result
from mmjax.evaluation.retrieval import average_precision, chance_recall
from mmjax.losses.tokens import tile_rows, token_rows


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
        """Metrics of `mmjax.evaluation.retrieval` (R@K, mean and median rank, MRR, mAP@10) in both directions."""
        streams, score, params = learned_score(embeddings, self.objective)
        if len(streams) != 2:
            remedy = "use kind group_retrieval"
            raise UserError(f"objective {self.objective!r} compares {', '.join(streams)}", remedy=remedy)
        sides = [embeddings.tokens(self.source, s, captions=self.captions, language=self.language) for s in streams]
        names = base_names(embeddings, streams)
        x, y = (prepared(score, params, side, first) for side, first in zip(sides, (True, False), strict=True))
        there, back = score_matrices(score, x, y, params)
        ids = [side.records for side in sides]
        metrics = ranked(there, *ids, names=names) | ranked(back.T, *ids[::-1], names=names[::-1])
        return Result(metrics, chance_recall(*ids, names=names))


def learned_score(embeddings, name: str):
    """(streams, score, what the score has learned) of an objective on tokens; UserError for any other objective."""
    part, params = embeddings.objective(name)
    return part.streams, token_score(part, name), params.get("score", {})


def token_score(part, name: str):
    """The score of an objective on tokens; UserError for any other objective."""
    if not callable(getattr(part, "score", None)):
        raise UserError(f"objective {name!r} has no score of tokens", remedy="name one such as filip, cico or fdt")
    return part.score()


def prepared(score, params, side, first: bool):
    """Rows of one side (`EmbeddedTokens`) as a score takes them, on the host, 256 at a time."""
    prepare = jax.jit(partial(score.prepare, first=first))
    parts = []
    for start in range(0, len(side.tokens), 256):
        part = slice(start, start + 256)
        rows = token_rows(side.tokens[part], side.mask[part], vector=side.vectors[part])
        parts.append(jax.device_get(prepare(rows, params)))
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def score_matrices(score, x, y, params) -> tuple[np.ndarray, np.ndarray]:
    """(N, M), (N, M) float32 scores of prepared rows, for queries in x and for queries in y, by tiles.

    Only the scores themselves are held whole, on the host: 4 N M bytes for each direction.
    """
    compiled = jax.jit(score.__call__)
    size = tile_rows(score.numbers(x, y))
    shape = len(x.facts["present"]), len(y.facts["present"])
    there, back = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for i in range(0, shape[0], size):
        for j in range(0, shape[1], size):
            tile = slice(i, i + size), slice(j, j + size)
            rows = (jax.tree.map(lambda a, part=part: a[part], side) for side, part in zip((x, y), tile, strict=True))
            there[tile], back[tile] = compiled(*rows, params)
    return there, back


def ranked(scores: np.ndarray, query_ids, gallery_ids, *, names, ks=(1, 5, 10)) -> dict[str, float]:
    """The metrics of `retrieval.one_way` from a matrix of scores (N, M).

    Raises:
        UserError: a score is not finite, no query has a correct row, or a gallery of one.
    """
    if scores.shape[1] == 1:
        raise UserError(f"a gallery of one {names[1]} answers every query", remedy="evaluate more than one record")
    if not np.isfinite(scores).all():
        raise UserError(f"scores of {names[0]} and {names[1]} are not finite", remedy="look for a diverged model")
    query_ids, gallery_ids, ranks, precisions = np.asarray(query_ids), np.asarray(gallery_ids), [], []
    for start in range(0, len(scores), 256):  # an order takes twice the memory of its scores
        part = slice(start, start + 256)
        order = np.argsort(-scores[part], axis=1, kind="stable")
        relevant = gallery_ids[order] == query_ids[part, None]
        relevant = relevant[relevant.any(1)]
        ranks += relevant.argmax(1).tolist()
        precisions += average_precision(relevant[:, :10], relevant.sum(1)).tolist()
    if not ranks:
        raise UserError(f"no {names[0]} has a correct {names[1]}", remedy="evaluate a source that has both")
    ranks = np.array(ranks)
    metrics = {f"R@{k}": np.mean(ranks < k) for k in ks if k <= scores.shape[1]} | {
        "mean_rank": np.mean(ranks) + 1,
        "median_rank": np.floor(np.median(ranks)) + 1,
        "MRR": np.mean(1 / (ranks + 1.0)),
        "mAP@10": np.mean(precisions),
        "queries": len(ranks),
    }
    return {f"{names[0]}_to_{names[1]}_{name}": float(value) for name, value in metrics.items()}
