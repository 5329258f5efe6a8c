"""What every anchor knows of all its candidates, gathered a tile at a time or around a ring of devices, no gradient."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from mmjax.losses.lean import batch_axes, on_ring
from mmjax.losses.lean_softmax import LOWEST
from mmjax.losses.rows import Rows
from mmjax.losses.tiles import fold_ring, fold_tiles


class RowSums(NamedTuple):
    """Of each anchor's logits z over its candidates, (B,) float32 each.

    Attributes:
        log_sum: log sum_j exp(z_j), `LOWEST` where there is no candidate.
        mean: sum_j z_j exp(z_j) / sum_j exp(z_j), 0 where there is none.
        count: number of candidates.
    """

    log_sum: jax.Array
    mean: jax.Array
    count: jax.Array


def row_sums(terms, x: Rows, y: Rows, *, impl: str) -> tuple[RowSums, RowSums]:
    """The sums of the anchors in x over y, and of those in y over x.

    Args:
        terms: `(x, y) -> (to_y, to_x, keep)` of a tile of rows, (b, c) each: the logits of the anchors in x, of those
            in y, and which pairs count.
        x, y: the two sides of the global batch.
        impl: "dense", "blockwise" or "ring", as `lean.choose_impl` gives it.

    Raises:
        ValueError: if a ring is asked for without a mesh, or its devices do not divide the batch.
    """

    def step(totals, row, column, x, y):
        to_y, to_x, keep = terms(x, y)
        return totals, _merge(row, _sums(to_y, keep, 1)), _merge(column, _sums(to_x, keep, 0))

    def gather(fold, x, y):
        _, row, column = fold(step, jnp.float32(0), _start(x), _start(y), x, y)
        return _finish(row), _finish(column)

    if impl == "dense":
        to_y, to_x, keep = terms(x, y)
        return _finish(_sums(to_y, keep, 1)), _finish(_sums(to_x, keep, 0))
    if impl == "blockwise":
        return gather(fold_tiles, x, y)
    x, y = on_ring(x), on_ring(y)
    axes, size = batch_axes()
    rows, around = PartitionSpec(axes), functools.partial(fold_ring, axes=axes, size=size)
    local = functools.partial(gather, around)
    return jax.shard_map(local, in_specs=(rows, rows), out_specs=(rows, rows), check_vma=False)(x, y)


def _start(rows: Rows) -> dict:
    zeros = jnp.zeros(rows.facts["present"].shape, jnp.float32)
    return {"max": zeros + LOWEST, "sum": zeros, "moment": zeros, "count": zeros}


def _sums(z, keep, axis: int) -> dict:
    """The sums of one tile along the candidates' `axis`, exponentials less the largest logit."""
    kept = jnp.where(keep, z, -jnp.inf)
    largest = jnp.maximum(jnp.max(kept, axis), LOWEST)
    weights = jnp.exp(kept - jnp.expand_dims(largest, axis))
    moment = jnp.sum(weights * jnp.where(keep, z, 0.0), axis)
    return {"max": largest, "sum": jnp.sum(weights, axis), "moment": moment, "count": _count(keep, axis)}


def _count(keep, axis: int):
    return jnp.sum(keep, axis, dtype=jnp.float32)


def _merge(a: dict, b: dict) -> dict:
    largest = jnp.maximum(a["max"], b["max"])
    left, right = jnp.exp(a["max"] - largest), jnp.exp(b["max"] - largest)
    sums = {k: a[k] * left + b[k] * right for k in ("sum", "moment")}
    return {**sums, "max": largest, "count": a["count"] + b["count"]}


def _finish(s: dict) -> RowSums:
    some = s["count"] > 0
    total = jnp.where(some, s["sum"], 1.0)
    return RowSums(jnp.where(some, jnp.log(total) + s["max"], LOWEST), s["moment"] / total, s["count"])
