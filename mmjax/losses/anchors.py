"""What losses of any number of modalities share: checked vectors, tiles of anchors, log-sum-exp over what is kept."""

import math

import jax
import jax.numpy as jnp

from mmjax.losses.checks import check_present, check_rows
from mmjax.losses.masked import all_present, only_present

IMPLS = ("dense", "blockwise")
# Anchors of a tile: enough that products run at full speed, few enough that a tile of logits is small beside a batch.
BLOCK = 256


def aligned(vectors, present, *, names=None):
    """The (B, D) arrays of a sequence with absent rows zero, all of one dtype, and their presence, (B,) bool each.

    bfloat16 is kept where all are bfloat16: their products are exact in float32.

    Args:
        vectors: M >= 2 arrays (B, D).
        present: M entries, (B,) bool or None; None: nothing is missing.
        names: what messages call the arrays.

    Raises:
        ValueError: naming the array whose shape, type or values do not fit.
    """
    names = names or [f"vectors[{m}]" for m in range(len(vectors))]
    if len(vectors) < 2:
        raise ValueError(f"{len(vectors)} modality given: give at least two arrays (batch, width)")
    present = [None] * len(vectors) if present is None else list(present)
    if len(present) != len(vectors):
        raise ValueError(f"present has {len(present)} entries for {len(vectors)} modalities: give one or None for each")
    rows = len(vectors[0])
    for name, array, there in zip(names, vectors, present, strict=True):
        if array.ndim != 2 or len(array) != rows:
            raise ValueError(f"{name} {array.shape} must be ({rows}, width), like {names[0]} {vectors[0].shape}")
        check_present(f"present of {name}", there, rows)
    vectors = [only_present(v, p) for v, p in zip(vectors, present, strict=True)]
    check_rows(**dict(zip(names, vectors, strict=True)))
    dtype = jnp.bfloat16 if all(v.dtype == jnp.bfloat16 for v in vectors) else jnp.float32
    return [v.astype(dtype) for v in vectors], [all_present(p, rows) for p in present]


def over_anchors(per_anchor, rows, *, impl: str = "dense", block: int = BLOCK):
    """`per_anchor(rows) -> (B,)`, evaluated at once or, with equal value and gradients, tile after tile.

    Under "blockwise" one tile at a time holds its logits, in the backward pass too, which makes them again. A tile
    takes every n-th anchor, so that of a batch split over devices every device has equally many.

    Args:
        per_anchor: maps a tile of rows to its anchors' values; it reaches all candidates by closure.
        rows: pytree of (B, ...), what is known of each anchor.
        impl: "dense" or "blockwise".
        block: most anchors of a tile.

    Raises:
        ValueError: if `impl` is unknown or `block` is not positive.
    """
    if impl not in IMPLS:
        raise ValueError(f"unknown impl {impl!r}: use one of {', '.join(IMPLS)}")
    if block < 1:
        raise ValueError(f"block is {block}: give the number of anchors of a tile, at least 1")
    if impl == "dense":
        return per_anchor(rows)
    count = jax.tree.leaves(rows)[0].shape[0]
    tiles = math.ceil(count / block)
    each = math.ceil(count / tiles)

    def split(x):
        x = jnp.pad(x, ((0, tiles * each - count),) + ((0, 0),) * (x.ndim - 1))
        return jnp.moveaxis(x.reshape(each, tiles, *x.shape[1:]), 1, 0)

    values = jax.lax.map(jax.checkpoint(per_anchor), jax.tree.map(split, rows))
    return values.T.reshape(-1)[:count]


def masked_logsumexp(z, keep, *, axis: int = -1, empty: float = -jnp.inf):
    """log of the sum of exp(z) over what `keep` holds along `axis`; `empty`, without gradient, where it holds nothing.

    Args:
        z: float32, finite where kept.
        keep: bool of the same shape.
    """
    z = jnp.where(keep, z, -jnp.inf)
    some = jnp.any(keep, axis=axis, keepdims=True)
    top = jax.lax.stop_gradient(jnp.where(some, jnp.max(z, axis=axis, keepdims=True), 0.0))
    total = jnp.sum(jnp.exp(z - top), axis=axis, keepdims=True)
    # The inner `where` keeps log's infinite slope at 0 out of the gradient, the outer one its value.
    return jnp.squeeze(jnp.where(some, jnp.log(jnp.where(some, total, 1.0)) + top, empty), axis)
