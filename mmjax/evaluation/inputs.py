"""What every evaluation asks of its arrays, and what it says when they are otherwise."""

import numpy as np

from mmjax.errors import UserError


def embeddings(x, name: str) -> np.ndarray:
    """`x` as an (N, D) float32 array on the host.

    Raises:
        UserError: if it is empty, not a matrix, or a row is not finite; names the set and the first such row.
    """
    x = np.asarray(x).astype(np.float32, copy=False)
    if x.ndim != 2 or 0 in x.shape:
        raise UserError(f"{name} embeddings of shape {x.shape}", remedy="give one row for each example, (N, D)")
    with np.errstate(invalid="ignore", over="ignore"):
        bad = np.flatnonzero(~np.isfinite(x.sum(axis=1)))  # a sum a row: no second array of this size
    if bad.size:
        raise UserError(
            f"{bad.size} of {len(x)} {name} embeddings are not finite",
            where=f"first at row {bad[0]}",
            remedy="look for a diverged model, a zero vector that was normalised, or overflow in low precision",
        )
    return x


def pair(x, y, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) `x` and (M, D) `y`, each checked by `embeddings`; `x` may be (N, K, D), a subspace for each row.

    Raises:
        UserError: also if they are not equally wide.
    """
    x, y = np.asarray(x), embeddings(y, names[1])
    x = embeddings(x.reshape(-1, x.shape[-1]) if x.ndim == 3 else x, names[0]).reshape(x.shape)
    if x.shape[-1] != y.shape[1]:
        raise UserError(
            f"{names[0]} embeddings are {x.shape[-1]} wide and {names[1]} embeddings {y.shape[1]}",
            remedy="compare embeddings of one model, after its projections",
        )
    return x, y


def integers(values, rows: int, name: str) -> np.ndarray:
    """`values` as a (rows,) array of integers.

    Raises:
        UserError: if the shape or the type is another.
    """
    values = np.asarray(values)
    if values.shape != (rows,) or not np.issubdtype(values.dtype, np.integer):
        raise UserError(f"{name} are {values.dtype} of shape {values.shape}", remedy=f"give {rows} integers, one a row")
    return values


def labelled_pair(x, y, x_ids, y_ids, names: tuple[str, str]):
    """`pair` and the `integers` of its ids (N,), (M,): x, y, x_ids, y_ids."""
    x, y = pair(x, y, names)
    return x, y, integers(x_ids, len(x), f"{names[0]} ids"), integers(y_ids, len(y), f"{names[1]} ids")
