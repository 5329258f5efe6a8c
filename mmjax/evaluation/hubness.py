"""Hubs: gallery items that answer too many queries. How to measure them, and DBNorm, which corrects by banks.

A normalised similarity orders a gallery as the cosine minus a number for each item, so the correction is one or two
further columns of the embeddings: ranks, nearest rows and their bounded memory stay as they are.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mmjax.errors import UserError
from mmjax.evaluation import inputs, sharded
from mmjax.evaluation.ranking import topk


def k_occurrence(queries, gallery, k: int = 10, *, block: int = 1024, mesh: Mesh | None = None) -> np.ndarray:
    """(M,) how many of the queries (N, D) have each gallery row (M, D) among their k nearest.

    Raises:
        UserError: k larger than the gallery, arrays that do not fit together, an embedding that is not finite.
    """
    nearest, _ = topk(queries, gallery, k, block=block, mesh=mesh)
    return np.bincount(nearest.ravel(), minlength=len(gallery))


def skewness(values) -> float:
    """The third standardised moment of all values (population form); 0 where all are equal.

    Of k-occurrences it measures hubness (Radovanovic et al. 2010, JMLR 11): 0 where every item answers as often, large
    where few answer nearly everything. Items that never answer count; DBNorm's released code leaves them out.
    """
    values = np.asarray(values, np.float64)
    centred = values - values.mean()
    deviation = np.sqrt(np.mean(centred**2))
    return float(np.mean(centred**3) / deviation**3) if deviation else 0.0


def hubness(queries, gallery, *, k: int = 10, block: int = 1024, mesh: Mesh | None = None) -> float:
    """`skewness` of the `k_occurrence`; the whole gallery counts as nearest where it is smaller than k."""
    return skewness(k_occurrence(queries, gallery, min(k, len(gallery)), block=block, mesh=mesh))


def bank_normalise(
    queries,
    gallery,
    query_bank,
    gallery_bank,
    *,
    beta_query: float = 20.0,
    beta_gallery: float = 10.0,
    dynamic: bool = False,
    block: int = 1024,
    mesh: Mesh | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Queries and gallery whose inner products order each gallery as DBNorm's similarity does.

    That is the product over both banks B of exp(beta_B s(q, g)) / sum_b exp(beta_B s(b, g)) (Wang et al. 2023, arXiv
    2310.11612): dual inverted softmax; the inverted softmax (IS, QB-Norm's) where one beta is 0. Its logarithm over
    the sum of the betas is s(q, g) minus a number of g.

    Args:
        queries, gallery: (N, D), (M, D) unit rows.
        query_bank, gallery_bank: (P, D), (Q, D) unit rows like queries and like gallery, none of them tested.
        beta_query, beta_gallery: inverse temperatures; 0: without that bank.
        dynamic: DIS and DualDIS: a bank's denominator counts only for queries whose nearest item is also the nearest
            of a row of that bank (Bogolin et al. 2022, arXiv 2112.12777).
        block, mesh: as for `mmjax.evaluation.retrieval.retrieval`.

    Returns:
        (N, D + K), (M, D + K) float32, K the number of banks used.

    Raises:
        UserError: a negative beta or both 0, arrays that do not fit together, an embedding that is not finite.
    """
    queries, gallery = inputs.pair(queries, gallery, ("query", "gallery"))
    if min(beta_query, beta_gallery) < 0 or beta_query + beta_gallery <= 0:
        raise UserError(f"betas {beta_query} and {beta_gallery}", remedy="give at least one above 0, none below")
    banks = [(query_bank, beta_query, "query bank"), (gallery_bank, beta_gallery, "gallery bank")]
    options = {"block": block, "mesh": mesh}
    flags, offsets = [], []
    for bank, beta, name in banks:
        if beta:
            bank, _ = inputs.pair(bank, gallery, (name, "gallery"))
            offset = log_partition(gallery, bank, beta, **options)
            # Only differences between items count; small numbers keep their digits.
            offsets.append((offset - offset.mean()) / (beta_query + beta_gallery))
            flags.append(activated(queries, gallery, bank, **options) if dynamic else np.ones(len(queries), bool))
    queries = np.concatenate([queries, np.stack(flags, 1).astype(np.float32)], axis=1)
    return queries, np.concatenate([gallery, -np.stack(offsets, 1).astype(np.float32)], axis=1)


def log_partition(rows, bank, beta: float, *, block: int = 1024, mesh: Mesh | None = None) -> np.ndarray:
    """(M,) float64: log of the sum over the bank (P, D) of exp(beta b.g) for each of the rows (M, D)."""
    mesh = mesh or sharded.one_device()
    rows = np.asarray(rows, np.float32)
    placed = sharded.place(mesh, block, x=rows * np.float32(beta))
    start = sharded.place(mesh, block, total=np.full(len(rows), -np.inf, np.float32))["total"]
    totals = sharded.fold(_add_exponentials, start, placed, sharded.place(mesh, block, x=bank), mesh)
    return sharded.fetch(totals, len(rows), mesh).astype(np.float64)


def activated(queries, gallery, bank, *, block: int = 1024, mesh: Mesh | None = None) -> np.ndarray:
    """(N,) bool: whether the item nearest to a query is the nearest of some row of the bank too."""
    nearest = partial(topk, y=gallery, k=1, block=block, mesh=mesh)
    return np.isin(nearest(queries)[0][:, 0], nearest(bank)[0])


def _add_exponentials(total, queries, gallery):
    return jnp.logaddexp(total, jax.nn.logsumexp(sharded.similarity(queries, gallery), axis=1))
