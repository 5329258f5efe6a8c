"""How alike two representations of the same things are: mutual nearest neighbours, CKA and CKNNA.

The measures of the platonic representation hypothesis (Huh et al. 2024, arXiv 2405.07987) and of its study of video and
text (arXiv 2511.02767), in memory that grows with the number of things and not with its square.
"""

from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh

from mmjax.errors import UserError
from mmjax.evaluation import inputs
from mmjax.evaluation.ranking import topk


def mutual_knn(x, y, *, k: int = 10, block: int = 1024, mesh: Mesh | None = None) -> float:
    """The mean share of the k nearest neighbours of a thing, itself not among them, that both representations have.

    1 for a rotation; k / (N - 1) is expected of independent ones. Rows are brought to unit norm first.

    Args:
        x, y: (N, D), (N, E) rows of the same N things.
        k: neighbours, at most N - 1.
        block, mesh: as for `mmjax.evaluation.retrieval.retrieval`.

    Raises:
        UserError: not as many rows, a k out of range, a row that is zero or not finite.
    """
    of_x, of_y = _both_neighbours(x, y, k, block, mesh)
    return float(np.isin(of_x.keys(), of_y.keys(), assume_unique=True).mean())


def cka(x, y, *, unbiased: bool = False) -> float:
    """Centred kernel alignment with linear kernels (Kornblith et al. 2019, arXiv 1905.00414); rows as they are.

    HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), K = x x^T, L = y y^T; invariant to rotations and one scale for all.

    Args:
        x, y: (N, D), (N, E) rows of the same N things; N at least 4 if unbiased, else 2.
        unbiased: by Song et al.'s (2012) unbiased estimate of HSIC, whose mean is 0 for independent representations.

    Raises:
        UserError: not as many rows, too few of them, a row that is not finite, all rows of a side equal.
    """
    x, y = (side.astype(np.float64) for side in _same_things(x, y))
    if len(x) < (4 if unbiased else 2):
        raise UserError(f"CKA of {len(x)} things", remedy="give at least 4 if unbiased, 2 otherwise")
    hsic = _unbiased_hsic if unbiased else _biased_hsic
    return _normalised(hsic(x, y), hsic(x, x), hsic(y, y))


def cknna(x, y, *, k: int = 10, block: int = 1024, mesh: Mesh | None = None) -> float:
    """CKA over those pairs alone that are among the k nearest in both representations (Huh et al. 2024, appendix A).

    With unbiased HSIC, as in their code; a side against itself keeps its own neighbours. Rows are brought to unit norm.

    Args and errors: as for `mutual_knn`; k at least 2, at least 4 things.
    """
    if k < 2 or len(x) < 4:
        raise UserError(f"CKNNA of {len(x)} things with k = {k}", remedy="give at least 4 things, and k at least 2")
    of_x, of_y = _both_neighbours(x, y, k, block, mesh)
    shared = np.isin(of_x.keys(), of_y.keys(), assume_unique=True).reshape(of_x.index.shape)
    back = np.isin(of_y.keys(), of_x.keys(), assume_unique=True).reshape(of_x.index.shape)
    all_of = np.ones_like(shared)
    return _normalised(
        _sparse_hsic(of_x, shared, of_y, back),
        _sparse_hsic(of_x, all_of, of_x, all_of),
        _sparse_hsic(of_y, all_of, of_y, all_of),
    )


class Nearest(NamedTuple):
    """The neighbours of N things: `index` (N, k), and their `cosine` (N, k)."""

    index: np.ndarray
    cosine: np.ndarray

    def keys(self) -> np.ndarray:
        """(N k,) one number for each pair of a thing and a neighbour."""
        return (np.arange(len(self.index))[:, None] * len(self.index) + self.index).ravel()


def nearest_others(x, k: int, *, name: str = "example", block: int = 1024, mesh: Mesh | None = None) -> Nearest:
    """The k nearest other rows of each row of x (N, D), brought to unit norm."""
    x = inputs.embeddings(x, name)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    if not length.all():
        raise UserError(f"{name} embeddings of length zero have no direction", where=f"row {np.argmin(length)}")
    if not 1 <= k < len(x):
        raise UserError(f"the {k} nearest others of {len(x)} {name} rows", remedy=f"ask for 1 to {len(x) - 1}")
    x = x / length
    index, cosine = topk(x, x, k + 1, block=block, mesh=mesh)
    own = index == np.arange(len(x))[:, None]
    own[:, -1] |= ~own.any(axis=1)  # of more than k equal rows, a thing may not be among its own nearest
    return Nearest(index[~own].reshape(-1, k), cosine[~own].reshape(-1, k).astype(np.float64))


def _both_neighbours(x, y, k, block, mesh):
    x, y = _same_things(x, y)
    return [nearest_others(side, k, name=n, block=block, mesh=mesh) for side, n in ((x, "first"), (y, "second"))]


def _same_things(x, y):
    x, y = inputs.embeddings(x, "first"), inputs.embeddings(y, "second")
    if len(x) != len(y):
        raise UserError(f"{len(x)} rows and {len(y)}", remedy="give both representations of the same things, in order")
    return x, y


def _biased_hsic(x, y) -> float:
    """tr(K H L H), which is |cov|^2: the products are of widths, not of numbers of things."""
    return float(np.sum(((x - x.mean(0)).T @ (y - y.mean(0))) ** 2))


def _unbiased_hsic(x, y) -> float:
    """Song et al.'s estimate, K and L without their diagonals, from products of widths alone."""
    own = np.einsum("nd,nd->n", x, x), np.einsum("nd,nd->n", y, y)
    rows = x @ x.sum(0) - own[0], y @ y.sum(0) - own[1]
    return _song(len(x), np.sum((x.T @ y) ** 2) - own[0] @ own[1], rows[0].sum(), rows[1].sum(), rows[0] @ rows[1])


def _sparse_hsic(a: Nearest, use_a, b: Nearest, use_b) -> float:
    """The same of matrices that hold the cosines of the pairs used and zeros elsewhere; they are not symmetric."""
    n, values = len(a.index), [np.where(use, side.cosine, 0.0) for side, use in ((a, use_a), (b, use_b))]
    to_a = np.bincount(a.index.ravel(), weights=values[0].ravel(), minlength=n)
    turned = (b.index * n + np.arange(n)[:, None]).ravel()
    order = np.argsort(turned)
    at = order[np.minimum(np.searchsorted(turned[order], a.keys()), turned.size - 1)]
    products = np.where(turned[at] == a.keys(), values[0].ravel() * values[1].ravel()[at], 0.0)
    return _song(n, products.sum(), values[0].sum(), values[1].sum(), to_a @ values[1].sum(axis=1))


def _song(n, product, total_a, total_b, chained) -> float:
    """From sum(A * B^T), sum(A), sum(B) and sum(A @ B) of (n, n) matrices with zero diagonals."""
    return float((product + total_a * total_b / ((n - 1) * (n - 2)) - 2 * chained / (n - 2)) / (n * (n - 3)))


def _normalised(between, first, second) -> float:
    if not first > 0 or not second > 0:
        raise UserError("a representation that does not tell its things apart has no alignment")
    return between / np.sqrt(first * second)
