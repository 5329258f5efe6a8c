"""The two sides of a batch of pairs: vectors, which of them are there, and who is whose positive."""

from typing import NamedTuple

import jax.numpy as jnp

from mmjax.losses.checks import check_finite, check_ids, check_present
from mmjax.losses.masked import all_present, only_present


class Rows(NamedTuple):
    """One side of the pairs, every array with the same leading axis.

    Attributes:
        values: what a loss is differentiated by, such as the vectors.
        facts: what it is not: `present` (n,) bool, `key` (n,) int32, equal for positives.
    """

    values: dict
    facts: dict


def paired_rows(x, y, *, ids=None, x_present=None, y_present=None) -> tuple[Rows, Rows]:
    """Both sides flat, checked, absent rows zero: values `vector`, facts `present` and `key`.

    Args:
        x: (B, D).
        y: (B, D), or (B, K, D) with K positives of each row of x.
        ids: (B,) int, equal for positives; None: row i with row i.
        x_present: (B,) bool, or None.
        y_present: as y without its last axis, bool, or None.

    Raises:
        ValueError: naming the argument that does not fit.
    """
    floating = jnp.issubdtype(x.dtype, jnp.floating) and x.dtype == y.dtype
    if x.ndim != 2 or y.ndim not in (2, 3) or (y.shape[0], y.shape[-1]) != x.shape or not floating:
        raise ValueError(
            f"x {x.dtype} {x.shape} and y {y.dtype} {y.shape} must both be floating (batch, width) of the same shape, "
            "or y (batch, K, width)"
        )
    if y_present is not None and y_present.shape != y.shape[:-1]:
        raise ValueError(f"y_present {y_present.shape} must be {y.shape[:-1]}: one for each row of y {y.shape}")
    rows, copies = len(x), y.shape[1] if y.ndim == 3 else 1
    columns = rows * copies
    check_ids(ids, rows)
    keys = jnp.arange(rows) if ids is None else ids
    sides = []
    for name, vectors, present, key in (
        ("x", x, x_present, keys),
        ("y", y.reshape(columns, -1), y_present, jnp.repeat(keys, copies)),
    ):
        present = None if present is None else present.reshape(-1)
        check_present(f"{name}_present", present, len(vectors))
        vectors = only_present(vectors, present)
        check_finite(name, vectors)
        sides.append(Rows({"vector": vectors}, {"present": all_present(present, len(vectors)), "key": key}))
    return tuple(sides)


def both_present(x: Rows, y: Rows):
    """(b, c) bool: pairs of two rows that are there."""
    return x.facts["present"][:, None] & y.facts["present"][None, :]


def same_key(x: Rows, y: Rows):
    """(b, c) bool: positives."""
    return x.facts["key"][:, None] == y.facts["key"][None, :]


def anchor_count(x: Rows, y: Rows, *, partners: bool):
    """() float32: rows of x that are there and have a positive in y that is.

    Args:
        partners: whether the positives of row i of x are row i of y, or rows i K to i K + K - 1, and no others.
    """
    there = y.facts["present"]
    if partners:
        matched = jnp.any(there.reshape(len(x.facts["present"]), -1), axis=1)
    else:
        keys = jnp.where(there, y.facts["key"], y.facts["key"][jnp.argmax(there)])
        matched = jnp.isin(x.facts["key"], keys, method="sort") & jnp.any(there)
    return jnp.sum(x.facts["present"] & matched, dtype=jnp.float32)
