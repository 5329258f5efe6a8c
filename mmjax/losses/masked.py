"""Rows, means and log-softmaxes that leave missing samples out, in value and in gradient."""

import jax
import jax.numpy as jnp

from mmjax.losses.checks import check_present, check_rows


def only_present(rows, present):
    """`rows` (B, ...) with absent ones zero, so that nothing they hold, NaN included, reaches value or gradient."""
    if present is None:
        return rows
    return jnp.where(present.reshape(present.shape + (1,) * (rows.ndim - 1)), rows, jnp.zeros((), rows.dtype))


def all_present(present, rows: int):
    """`present` (rows,) bool, all True where it is None."""
    return jnp.ones((rows,), bool) if present is None else present


def present_rows(rows, present, name: str = "present"):
    """`rows` (B, ...) with absent ones zero, and `present` (B,) bool, all True where it is None.

    Raises:
        ValueError: if `present`, called `name`, is not (B,) bool.
    """
    check_present(name, present, len(rows))
    return only_present(rows, present), all_present(present, len(rows))


def present_pair(x, y, x_present, y_present):
    """The same for both x and y: (x, y, x_present, y_present).

    Raises:
        ValueError: if x and y are not floating (B, D) of one dtype, or a presence is not (B,) bool.
    """
    if x.dtype != y.dtype:
        raise ValueError(f"x is {x.dtype} and y {y.dtype}: give both in the same dtype")
    x, x_present = present_rows(x, x_present, "x_present")
    y, y_present = present_rows(y, y_present, "y_present")
    check_rows(x=x, y=y)
    return x, y, x_present, y_present


def masked_mean(values, valid):
    """() mean of the `values` that are `valid`, an array alike; 0 where none is. Those that are not must be finite."""
    return jnp.sum(jnp.where(valid, values, 0.0)) / jnp.maximum(jnp.sum(valid, dtype=jnp.float32), 1)


def masked_log_softmax(z, candidates):
    """(B, C) log softmax of each row of `z` over its `candidates`, and 0, which means nothing, at the others.

    Zeros and not -inf, so that the entries may be multiplied with probabilities of 0 without making NaN.
    """
    partition = jax.nn.logsumexp(jnp.where(candidates, z, -jnp.inf), axis=1, keepdims=True)
    return jnp.where(candidates, z - partition, 0.0)
