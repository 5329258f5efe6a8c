"""Sums over all pairs of two sets of rows, a tile of pairs at a time, on one device or around a ring of devices.

Rows are a pytree of arrays with a common leading axis: vectors, and what else a pair is judged by (keys, presence).
A *step* folds one tile: `step(totals, local, moving, local_tile, moving_tile) -> (totals, local, moving)`, where
`local` and `moving` are accumulators that lie beside the rows of either side and `totals` are scalars. Nothing here is
differentiated: whoever folds a loss folds its gradient too (see `lean.py`).
"""

import math

import jax
import jax.numpy as jnp

# Rows of a tile: large enough that its products run at full speed, small enough that its logits stay in cache.
TILE_ROWS = 1024


def fold_tiles(step, totals, local, moving, local_rows, moving_rows, *, tile_rows: int | None = None):
    """Fold `step` over every pair of tiles, row tiles of `local_rows` outside, those of `moving_rows` inside.

    Args:
        step: see above.
        totals: scalars to start from, any pytree.
        local, moving: accumulators to start from, pytrees of arrays with the rows' leading axis.
        local_rows, moving_rows: the rows; those added to fill a tile are zeros, and so not present.
        tile_rows: most rows of a tile; None: `TILE_ROWS`.

    Returns:
        (totals, local, moving).
    """
    rows = (count_rows(local_rows), count_rows(moving_rows))
    local_tiles, moving_tiles = (
        jax.tree.map(lambda x, n=n: _split(x, tile_rows, n), side)
        for side, n in zip(((local, local_rows), (moving, moving_rows)), rows, strict=True)
    )

    def outer(carry, tile):
        totals, moving = carry
        local, local_rows = tile

        def inner(carry, tile):
            totals, local, moving = step(*carry, tile[0], local_rows, tile[1])
            return (totals, local), moving

        (totals, local), moving = jax.lax.scan(inner, (totals, local), (moving, moving_tiles[1]))
        return (totals, moving), local

    (totals, moving), local = jax.lax.scan(outer, (totals, moving_tiles[0]), local_tiles)
    local, moving = (
        jax.tree.map(lambda x, n=n: x.reshape(-1, *x.shape[2:])[:n], side)
        for side, n in zip((local, moving), rows, strict=True)
    )
    return totals, local, moving


def count_rows(rows) -> int:
    """Length of the leading axis."""
    return jax.tree.leaves(rows)[0].shape[0]


def _split(x, tile_rows: int | None, rows: int):
    """x (rows, ...) as (tiles, rows of a tile, ...), filled up with zeros."""
    tiles = math.ceil(rows / (tile_rows or TILE_ROWS))
    each = math.ceil(rows / tiles)
    x = jnp.pad(x, ((0, tiles * each - rows),) + ((0, 0),) * (x.ndim - 1))
    return x.reshape(tiles, each, *x.shape[1:])


def fold_ring(step, totals, local, moving, local_rows, moving_rows, *, axes, size: int, tile_rows: int | None = None):
    """The same over the rows of all devices, called inside `shard_map`: `moving_rows` visit every device in turn.

    One half of them goes right and the other left, so that both links of every device are busy; with them go their
    accumulators, and after `size` hops all are home again.

    Args:
        axes: mesh axes that form the ring.
        size: devices on it.
    """
    rows = count_rows(moving_rows)
    parts = [part for part in (slice(rows // 2, rows), slice(0, rows // 2)) if part.stop > part.start]
    halves = [jax.tree.map(lambda x, part=part: x[part], (moving_rows, moving)) for part in parts]
    shifts = [[(i, (i + way) % size) for i in range(size)] for way in (1, -1)][: len(parts)]

    def hop(carry, _):
        totals, local, halves = carry
        arrived = []
        for (rows, accumulated), shift in zip(halves, shifts, strict=True):
            totals, local, accumulated = fold_tiles(
                step, totals, local, accumulated, local_rows, rows, tile_rows=tile_rows
            )
            arrived.append(jax.tree.map(lambda x, s=shift: jax.lax.ppermute(x, axes, s), (rows, accumulated)))
        return (totals, local, arrived), None

    (totals, local, halves), _ = jax.lax.scan(hop, (totals, local, halves), length=size)
    moving = jax.tree.map(lambda *parts: jnp.concatenate(parts[::-1]), *(accumulated for _, accumulated in halves))
    return totals, local, moving
