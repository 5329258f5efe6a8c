"""InvGC: gallery items moved away from what they resemble in banks (Jian & Wang 2023, arXiv 2310.13276)."""

import numpy as np
from jax.sharding import Mesh

from mmjax.errors import UserError
from mmjax.evaluation import inputs
from mmjax.evaluation.ranking import topk


def inverse_graph_convolution(
    gallery,
    gallery_bank,
    query_bank,
    *,
    rate_gallery: float = 1.0,
    rate_query: float = 1.0,
    neighbours: float = 1.0,
    centred: bool = False,
    block: int = 1024,
    mesh: Mesh | None = None,
) -> np.ndarray:
    """(M, D) float32 unit rows: the mean, of unit norm again, of the gallery moved away from either bank.

    Away from a bank B: norm(g - rate / k * sum over the k nearest b of (g.b) b), k = `neighbours` * |B|. With all of
    them it is InvGC, with few LocalAdj.

    Args:
        gallery: (M, D) unit rows.
        gallery_bank, query_bank: (P, D), (Q, D) unit rows like the gallery and like its queries, none of them tested.
        rate_gallery, rate_query: r_g and r_q, how far.
        neighbours: share of a bank that counts, above 0, at most 1.
        centred: whether the mean over all pairs is taken from the similarities first, as released code does and the
            paper does not; only with all neighbours.
        block, mesh: as for `mmjax.evaluation.retrieval.retrieval`.

    Raises:
        UserError: a share out of range or of no row, a row that is moved to zero, arrays that do not fit together, an
            embedding that is not finite.
    """
    if centred and neighbours < 1:
        raise UserError(f"centred similarities to {neighbours} of a bank", remedy="give one or the other")
    moved = []
    for bank, rate, name in ((gallery_bank, rate_gallery, "gallery bank"), (query_bank, rate_query, "query bank")):
        x, bank = inputs.pair(gallery, bank, ("gallery", name))
        count = int(neighbours * len(bank))
        if not 0 < neighbours <= 1 or not count:
            what = f"{neighbours} of a {name} of {len(bank)} rows"
            raise UserError(what, remedy="give a share above 0, at most 1, of a larger bank")
        message = _of_all(x, bank, centred) if count == len(bank) else _of_nearest(x, bank, count, block, mesh)
        moved.append(_unit(x - rate * message))
    return _unit(moved[0] + moved[1]).astype(np.float32)


def _of_all(gallery, bank, centred) -> np.ndarray:
    """(M, D): the mean over all rows b of the bank of (g.b) b, without a matrix of similarities."""
    bank = bank.astype(np.float64)
    message = gallery @ (bank.T @ bank / len(bank))
    middle = bank.mean(axis=0)
    return message - (gallery.mean(axis=0) @ middle) * middle if centred else message


def _of_nearest(gallery, bank, count, block, mesh) -> np.ndarray:
    """(M, D): the same over the `count` nearest rows."""
    nearest, cosine = topk(gallery, bank, count, names=("gallery", "bank"), block=block, mesh=mesh)
    message = np.empty(gallery.shape, np.float64)
    rows = max(1, 2**20 // count)  # so many that the gathered neighbours stay small
    for start in range(0, len(gallery), rows):
        part = slice(start, start + rows)
        message[part] = np.einsum("nk,nkd->nd", cosine[part], bank[nearest[part]]) / count
    return message


def _unit(x: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    if not length.all():
        raise UserError("the convolution leaves nothing of a row", where=f"row {np.argmin(length)}")
    return x / length
