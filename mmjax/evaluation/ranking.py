"""Ranks and nearest rows, one block of similarities at a time.

Among equal scores the earlier gallery row comes first (as in open_clip), so a model that gives every input the same
embedding gets no free hits.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mmjax.errors import UserError
from mmjax.evaluation import inputs, sharded

LAST = np.iinfo(np.int32).max


def retrieval_ranks(x, y, x_ids, y_ids, *, names=("image", "text"), block: int = 1024, mesh: Mesh | None = None):
    """(N,) int32: for each row of `x` the rank, from 0, of its best-ranked correct row of `y`; -1 if it has none.

    Two passes over the gallery, each holding one block of scores: the best correct score and its place, then how many
    items are ranked before it. Arguments and errors are those of `retrieval`.
    """
    x, y, x_ids, y_ids = inputs.labelled_pair(x, y, x_ids, y_ids, names)
    mesh = mesh or sharded.one_device()
    numbers = np.unique(np.concatenate([x_ids, y_ids]), return_inverse=True)[1].astype(np.int32)
    x_ids, y_ids = np.split(numbers, [len(x)])
    queries = sharded.place(mesh, block, x=x, id=x_ids)
    gallery = sharded.place(mesh, block, x=y, id=y_ids)
    start = sharded.place(mesh, block, score=np.full(len(x), -np.inf, np.float32), at=np.full(len(x), LAST, np.int32))
    best = sharded.fold(_best_correct, (start["score"], start["at"]), queries, gallery, mesh)
    zero = sharded.place(mesh, block, count=np.zeros(len(x), np.int32))["count"]
    before = sharded.fold(_count_before, zero, queries | {"best": best}, gallery, mesh)
    return np.where(np.isin(x_ids, y_ids), sharded.fetch(before, len(x), mesh), np.int32(-1))


def topk(x, y, k: int, *, names=("query", "gallery"), block: int = 1024, mesh: Mesh | None = None):
    """The k nearest rows of `y` for each row of `x`: indices (N, k) int32 and scores (N, k) float32, best first.

    Args:
        x, y: (N, D), (M, D) unit rows.
        k: how many, at most M.
        names, block, mesh: as for `retrieval`.

    Raises:
        UserError: k larger than the gallery, arrays that do not fit together, an embedding that is not finite.
    """
    x, y = inputs.pair(x, y, names)
    if not 1 <= k <= len(y):
        raise UserError(f"the {k} nearest of {len(y)} {names[1]} rows", remedy=f"ask for 1 to {len(y)}")
    mesh = mesh or sharded.one_device()
    queries, gallery = sharded.place(mesh, block, x=x), sharded.place(mesh, block, x=y)
    scores, indices = np.full((len(x), k), -np.inf, np.float32), np.full((len(x), k), LAST, np.int32)
    start = sharded.place(mesh, block, scores=scores, indices=indices)
    found = sharded.fold(_merge_top, (start["scores"], start["indices"]), queries, gallery, mesh)
    scores, indices = sharded.fetch(found, len(x), mesh)
    return indices, scores


def temporary_bytes(queries: int, gallery: int, width: int, *, block: int = 1024, mesh: Mesh) -> int:
    """What a device takes beside its rows while `retrieval_ranks` counts, as the compiler says; nothing is computed."""
    lie = NamedSharding(mesh, PartitionSpec(sharded.batch_axes(mesh)))

    def blocks(rows, *shape, dtype=jnp.float32):
        count = sharded.block_count(mesh, block, rows)
        return jax.ShapeDtypeStruct((count, min(block, rows), *shape), dtype, sharding=lie)

    def side(rows):
        number = blocks(rows, dtype=jnp.int32)
        return {"x": blocks(rows, width), "id": number, "index": number}

    best = {"best": (blocks(queries), blocks(queries, dtype=jnp.int32))}
    count = blocks(queries, dtype=jnp.int32)
    compiled = sharded.fold.lower(_count_before, count, side(queries) | best, side(gallery), mesh).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def _same_id(queries, gallery):
    return (queries["id"][:, None] == gallery["id"][None, :]) & (gallery["index"][None, :] >= 0)


def _best_correct(best, queries, gallery):
    scores = jnp.where(_same_id(queries, gallery), sharded.similarity(queries, gallery), -jnp.inf)
    at = jnp.argmax(scores, axis=1)  # the first of the largest
    return _first((scores.max(axis=1), gallery["index"][at]), best)


def _first(a, b):
    """Of two (score, index) pairs a row, the one that is ranked first."""
    a_wins = (a[0] > b[0]) | ((a[0] == b[0]) & (a[1] < b[1]))
    return jax.tree.map(lambda u, v: jnp.where(a_wins, u, v), a, b)


def _count_before(count, queries, gallery):
    score, at = (b[:, None] for b in queries["best"])
    scores = sharded.similarity(queries, gallery)
    before = (scores > score) | ((scores == score) & (gallery["index"][None, :] < at))
    # None of the other correct items is before the best; leaving them out keeps rounding from saying otherwise.
    return count + jnp.sum(before & ~_same_id(queries, gallery), axis=1, dtype=jnp.int32)


def _merge_top(best, queries, gallery):
    k = best[0].shape[1]
    scores, at = jax.lax.top_k(sharded.similarity(queries, gallery), min(k, gallery["index"].shape[0]))
    scores = jnp.concatenate([best[0], scores], axis=1)
    indices = jnp.concatenate([best[1], gallery["index"][at]], axis=1)
    scores, indices = jax.lax.sort((-scores, indices), dimension=1, num_keys=2)
    return -scores[:, :k], indices[:, :k]
