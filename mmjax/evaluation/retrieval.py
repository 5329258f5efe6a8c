"""Retrieval between two sets of embeddings, with several correct items a query in either direction.

The rank of a query is the place of its best-ranked correct item. Among equal scores the earlier gallery row comes first
(as in open_clip), so a model that gives every input the same embedding gets no free hits.
"""

import math
from collections.abc import Sequence

import numpy as np
from jax.sharding import Mesh

from mmjax.errors import UserError
from mmjax.evaluation import inputs
from mmjax.evaluation.hubness import skewness
from mmjax.evaluation.ranking import retrieval_ranks, topk


def retrieval(
    x,
    y,
    x_ids,
    y_ids,
    *,
    names: tuple[str, str] = ("image", "text"),
    ks: Sequence[int] = (1, 5, 10),
    block: int = 1024,
    mesh: Mesh | None = None,
) -> dict[str, float]:
    """Retrieval metrics in both directions, under open_clip's names.

    For each direction, `image_to_text_` before: `R@K` (share of queries with a correct item among the first K; left out
    where K exceeds the gallery, since then every ranking scores 1), `mean_rank` (from 1), `median_rank` (the median of
    the ranks from 0, rounded down, plus 1), `MRR` (mean of 1/rank), `mAP@10` (mean average precision, see
    `average_precision`), `hubness` (skewness of the 10-occurrence, see `mmjax.evaluation.hubness`), `queries` (how many
    counted: one without a correct item in the gallery does not).

    Args:
        x: (N, D) unit rows, the first of `names`.
        y: (M, D) unit rows, the second.
        x_ids, y_ids: (N,), (M,) integers; x[i] and y[j] belong together if and only if these are equal.
        names: names of the two sets.
        ks: the cut-offs of R@K.
        block: rows of a block; memory grows with its square, the result does not depend on it beyond rounding.
        mesh: devices to use; this process's first one if not given.

    Raises:
        UserError: arrays that do not fit together, an embedding that is not finite, no query with a correct item, a
            gallery of one.
    """
    options = {"ks": ks, "block": block, "mesh": mesh}
    there = one_way(x, y, x_ids, y_ids, names=names, **options)
    return there | one_way(y, x, y_ids, x_ids, names=names[::-1], **options)


def average_precision(relevant: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """(N,) average precision at k of the first k items of a ranking.

    The sum of the precisions at the places of correct items, over min(k, number of correct items): 1 for the best
    ranking possible, 1/rank where one item is correct. LAION-CLAP's mAP@10 is the mean of this for up to 10 captions.

    Args:
        relevant: (N, k) bool, whether the item in this place is correct.
        correct: (N,) how many correct items the whole gallery holds.
    """
    k = relevant.shape[1]
    precision = np.cumsum(relevant, axis=1) / np.arange(1, k + 1)
    return (relevant * precision).sum(axis=1) / np.minimum(correct, k)


def chance_recall(x_ids, y_ids, ks: Sequence[int] = (1, 5, 10), *, names=("image", "text")) -> dict[str, float]:
    """The expected R@K of a ranking drawn at random, in both directions, under the keys of `retrieval`.

    With c of M items correct, K draws without replacement miss all of them with probability C(M-c, K) / C(M, K).

    Raises:
        UserError: no query with a correct item.
    """
    there = chance_one_way(x_ids, y_ids, ks, names=names)
    return there | chance_one_way(y_ids, x_ids, ks, names=names[::-1])


def one_way(
    x, y, x_ids, y_ids, *, names=("image", "text"), ks: Sequence[int] = (1, 5, 10), block: int = 1024, mesh=None
) -> dict[str, float]:
    """`retrieval` with `x` as the queries alone; they may also be subspaces, (N, K, D) orthonormal bases.

    A subspace is the nearer to a row of `y` the longer the row's projection on it.
    """
    x, y, x_ids, y_ids = inputs.labelled_pair(x, y, x_ids, y_ids, names)
    check_ids(x_ids, y_ids, names)
    ranks = retrieval_ranks(x, y, x_ids, y_ids, names=names, block=block, mesh=mesh)
    nearest, _ = topk(x, y, min(10, len(y)), names=names, block=block, mesh=mesh)
    return rank_metrics(ranks, nearest, x_ids, y_ids, names=names, ks=ks)


def check_ids(x_ids, y_ids, names) -> None:
    """Raise `UserError` for a gallery of one, which answers every query, or where no query has a correct item."""
    if len(y_ids) == 1:
        raise UserError(f"a gallery of one {names[1]} answers every query", remedy="evaluate more than one record")
    _correct_items(x_ids, y_ids, names)


def rank_metrics(ranks, nearest, x_ids, y_ids, *, names, ks: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """The metrics of `one_way` from the ranks (N,) of `retrieval_ranks` and the nearest (N, k) of `topk`."""
    correct = _correct_items(x_ids, y_ids, names)
    used = correct > 0
    ranks, relevant = ranks[used], (y_ids[nearest] == x_ids[:, None])[used]
    metrics = {f"R@{k}": np.mean(ranks < k) for k in ks if k <= len(y_ids)} | {
        "mean_rank": np.mean(ranks) + 1,
        "median_rank": np.floor(np.median(ranks)) + 1,
        "MRR": np.mean(1 / (ranks + 1.0)),
        "mAP@10": np.mean(average_precision(relevant, correct[used])),
        "hubness": skewness(np.bincount(nearest.ravel(), minlength=len(y_ids))),
        "queries": len(ranks),
    }
    return {f"{names[0]}_to_{names[1]}_{name}": float(value) for name, value in metrics.items()}


def chance_one_way(x_ids, y_ids, ks: Sequence[int] = (1, 5, 10), *, names=("image", "text")) -> dict[str, float]:
    """`chance_recall` with the first as the queries alone."""
    x_ids, y_ids = (inputs.integers(i, len(i), f"{name} ids") for i, name in zip((x_ids, y_ids), names, strict=True))
    correct, queries = np.unique(_correct_items(x_ids, y_ids, names), return_counts=True)
    correct, queries = correct[correct > 0].tolist(), queries[correct > 0].tolist()
    size = len(y_ids)
    return {
        f"{names[0]}_to_{names[1]}_R@{k}": float(
            np.average([1 - math.comb(size - c, k) / math.comb(size, k) for c in correct], weights=queries)
        )
        for k in ks
        if k <= size
    }


def _correct_items(x_ids, y_ids, names) -> np.ndarray:
    """(N,) how many rows of y belong to each row of x; at least one of them must have one."""
    ids, counts = np.unique(y_ids, return_counts=True)
    at = np.minimum(np.searchsorted(ids, x_ids), len(ids) - 1)
    correct = np.where(ids[at] == x_ids, counts[at], 0)
    if not correct.any():
        raise UserError(
            f"no {names[0]} has a correct {names[1]} among {len(y_ids)}: their ids have nothing in common",
            remedy="give the same id to rows that belong together",
        )
    return correct
