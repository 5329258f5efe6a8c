"""Queries made of several modalities: one query embedding, or a subspace, from the embeddings of one record."""

from collections.abc import Sequence

import numpy as np

from mmjax.errors import UserError


def total(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The unit vector along the sum of unit rows (N, D): for models of pairwise cosines."""
    query = np.sum(parts, axis=0)
    return query / np.maximum(np.linalg.norm(query, axis=1, keepdims=True), 1e-12)


def product(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The elementwise product of unit rows (N, D), as a unit vector.

    Its inner product with a third vector orders a gallery as the multilinear inner product sum_d a_d b_d c_d does
    (Symile, Saporta et al. 2024, arXiv 2411.01053).
    """
    # Products of many unit vectors leave float32's range; only their direction matters.
    query = np.prod(np.asarray(parts, np.float64), axis=0)
    query /= np.maximum(np.linalg.norm(query, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return query.astype(np.float32)


def span(parts: Sequence[np.ndarray]) -> np.ndarray:
    """An orthonormal basis (N, K, D) of the span of K unit rows each.

    The volume of the parallelotope of K vectors and a unit vector c is their own volume times sqrt(1 - |P c|^2), P c
    the projection of c on their span (GRAM, Cicchetti et al. 2024, arXiv 2412.11959). So the greatest |P c| is the
    least volume. Of vectors that lie in one line or plane, the superfluous basis vectors are zero.
    """
    stacked = np.stack(parts, axis=1).astype(np.float64)
    _, sizes, basis = np.linalg.svd(stacked, full_matrices=False)
    return (basis * (sizes > 1e-6)[:, :, None]).astype(np.float32)


COMPOSE = {"sum": total, "product": product, "volume": span}


def compose(parts: Sequence[np.ndarray], how: str) -> np.ndarray:
    """The query of several (N, D) unit rows: (N, D), or (N, K, D) for "volume"; `how` is a name in COMPOSE."""
    return COMPOSE[how](parts)


def check_compose(how: str) -> None:
    """Raise `UserError` unless `how` is a name in COMPOSE."""
    if how not in COMPOSE:
        raise UserError(f"cannot compose queries by {how!r}", remedy=f"use one of {', '.join(COMPOSE)}")
