"""Similarities of a batch, in float32 on every platform, and the rows they are made of."""

import functools

import jax
import jax.numpy as jnp


def logits(x, y, dtype=None):
    """Inner products (B, C) float32 of x (B, D) and y (C, D).

    Products of float32 rows keep float32 on TPU and GPU too, where a plain dot would round its inputs; products of
    bfloat16 rows are exact in float32 as they are. The cotangent takes the dtype of the product before it is multiplied
    with the rows: left to autodiff, one operand would be float32 and the other bfloat16, the slowest product there is.

    Args:
        x, y: rows.
        dtype: dtype in which products are taken; None: that of x. Rows that were bfloat16 may come as float32, to get
            their gradient unrounded.
    """
    return _logits(x, y, jnp.dtype(dtype or x.dtype))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _logits(x, y, dtype):
    return _dot(x, 1, y, 1, dtype)


def _dot(a, a_axis: int, b, b_axis: int, dtype):
    precision = jax.lax.Precision.HIGHEST if dtype == jnp.float32 else jax.lax.Precision.DEFAULT
    dimensions = (((a_axis,), (b_axis,)), ((), ()))
    a, b = a.astype(dtype), b.astype(dtype)
    return jax.lax.dot_general(a, b, dimensions, precision=precision, preferred_element_type=jnp.float32)


def _logits_fwd(x, y, dtype):
    return _logits(x, y, dtype), (x, y)


def _logits_bwd(dtype, rows, cotangent):
    x, y = rows
    return _dot(cotangent, 1, y, 0, dtype).astype(x.dtype), _dot(cotangent, 0, x, 0, dtype).astype(y.dtype)


_logits.defvjp(_logits_fwd, _logits_bwd)
