"""Similarities of a batch, in float32 on every platform, and which pairs are positives."""

import jax
import jax.numpy as jnp


def logits(x, y):
    """Inner products (B, C) float32 of x (B, D) and y (C, D).

    Products of float32 rows keep float32 on TPU and GPU too, where a plain dot would round its inputs.
    """
    return jnp.einsum("id,jd->ij", x, y, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32)


def positive_pairs(ids):
    """(B, B) float32: 1 where two examples have equal `ids` (B,)."""
    return (ids[:, None] == ids[None, :]).astype(jnp.float32)


def check_pair(x, y, ids=None) -> None:
    """Raise ValueError unless x and y are (B, D) alike and `ids` is None or (B,)."""
    if x.ndim != 2 or x.shape != y.shape:
        raise ValueError(f"x {x.shape} and y {y.shape} must both be (batch, width) of the same shape")
    if ids is not None and ids.shape != x.shape[:1]:
        raise ValueError(f"ids {ids.shape} must be ({x.shape[0]},): one for each row of x {x.shape}")
