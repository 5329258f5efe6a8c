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
    return placed_ranks(*_placed(x, y, block, mesh), x_ids, y_ids, block=block, mesh=mesh)


def placed_ranks(queries: dict, gallery: dict, x_ids, y_ids, *, block: int, mesh: Mesh, common: tuple = ()):
    """`retrieval_ranks` of rows `x` that `sharded.place` has placed in blocks of `block`.

    `common` may hold how alike two blocks are, (queries, gallery) -> (Q, G), instead of `sharded.similarity`.
    """
    rows, numbers = len(x_ids), np.unique(np.concatenate([x_ids, y_ids]), return_inverse=True)[1].astype(np.int32)
    queries = queries | sharded.place(mesh, block, id=numbers[:rows])
    gallery = gallery | sharded.place(mesh, block, id=numbers[rows:])
    start = sharded.place(mesh, block, score=np.full(rows, -np.inf, np.float32), at=np.full(rows, LAST, np.int32))
    best = sharded.fold(_best_correct, (start["score"], start["at"]), queries, gallery, mesh, common)
    zero = sharded.place(mesh, block, count=np.zeros(rows, np.int32))["count"]
    before = sharded.fold(_count_before, zero, queries | {"best": best}, gallery, mesh, common)
    return np.where(np.isin(x_ids, y_ids), sharded.fetch(before, rows, mesh), np.int32(-1))


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
    return placed_topk(*_placed(x, y, block, mesh), k, len(x), block=block, mesh=mesh)


def placed_topk(queries: dict, gallery: dict, k: int, rows: int, *, block: int, mesh: Mesh, common: tuple = ()):
    """`topk` for `rows` queries, of rows `x` that are placed, as for `placed_ranks`."""
    scores, indices = np.full((rows, k), -np.inf, np.float32), np.full((rows, k), LAST, np.int32)
    start = sharded.place(mesh, block, scores=scores, indices=indices)
    found = sharded.fold(_merge_top, (start["scores"], start["indices"]), queries, gallery, mesh, common)
    scores, indices = sharded.fetch(found, rows, mesh)
    return indices, scores


def _placed(x, y, block: int, mesh: Mesh) -> tuple[dict, dict]:
    return sharded.place(mesh, block, x=x), sharded.place(mesh, block, x=y)


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


def _best_correct(best, queries, gallery, similarity=sharded.similarity):
    same = _same_id(queries, gallery)

    def better(best):
        scores = jnp.where(same, similarity(queries, gallery), -jnp.inf)
        top = scores.max(axis=1)
        # The first of the largest; on CPUs two plain reductions take less than half the time of an argmax.
        ties = same & (scores == top[:, None])
        return _first((top, jnp.min(jnp.where(ties, gallery["index"][None, :], LAST), axis=1)), best)

    # Where rows lie in the order of their records, few blocks hold a correct item.
    return jax.lax.cond(jnp.any(same), better, lambda best: best, best)


def _first(a, b):
    """Of two (score, index) pairs a row, the one that is ranked first."""
    a_wins = (a[0] > b[0]) | ((a[0] == b[0]) & (a[1] < b[1]))
    return jax.tree.map(lambda u, v: jnp.where(a_wins, u, v), a, b)


def _count_before(count, queries, gallery, similarity=sharded.similarity):
    score, at = (b[:, None] for b in queries["best"])
    scores = similarity(queries, gallery)
    before = (scores > score) | ((scores == score) & (gallery["index"][None, :] < at))
    # None of the other correct items is before the best; leaving them out keeps rounding from saying otherwise.
    return count + jnp.sum(before & ~_same_id(queries, gallery), axis=1, dtype=jnp.int32)


def _merge_top(best, queries, gallery, similarity=sharded.similarity):
    k = best[0].shape[1]
    scores, at = jax.lax.top_k(similarity(queries, gallery), min(k, gallery["index"].shape[0]))
    scores = jnp.concatenate([best[0], scores], axis=1)
    indices = jnp.concatenate([best[1], gallery["index"][at]], axis=1)
    scores, indices = jax.lax.sort((-scores, indices), dimension=1, num_keys=2)
    return -scores[:, :k], indices[:, :k]
