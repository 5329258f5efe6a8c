"""How two modalities lie in their common space: the modality gap, alignment and uniformity."""

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mmjax.errors import UserError
from mmjax.evaluation import inputs, sharded


def gap(
    x, y, *, names: tuple[str, str] = ("image", "text"), block: int = 1024, mesh: Mesh | None = None
) -> dict[str, float]:
    """The geometry of N pairs of embeddings.

    - `modality_gap`: |mean x - mean y|, the distance of the centroids (Liang et al. 2022, 2203.02053);
    - `paired_cosine`: mean x_i . y_i;
    - `alignment`: mean |x_i - y_i|^2 (Wang & Isola 2020, 2005.10242, alpha = 2);
    - `image_uniformity`, `text_uniformity`: `uniformity` of each.

    Args:
        x, y: (N, D) unit rows, x[i] and y[i] a pair; N at least 2.
        names: names of the two sets.
        block, mesh: as for `mmjax.evaluation.retrieval.retrieval`.

    Raises:
        UserError: fewer than two pairs, arrays that do not fit together, an embedding that is not finite.
    """
    x, y = inputs.pair(x, y, names)
    if len(x) != len(y):
        raise UserError(f"{len(x)} {names[0]} and {len(y)} {names[1]} embeddings", remedy="give pairs, row by row")
    cosine, squared_x, squared_y = (np.einsum("nd,nd->n", a, b, dtype=np.float64) for a, b in ((x, y), (x, x), (y, y)))
    return {
        "modality_gap": float(np.linalg.norm(x.mean(axis=0, dtype=np.float64) - y.mean(axis=0, dtype=np.float64))),
        "paired_cosine": float(cosine.mean()),
        "alignment": float((squared_x + squared_y - 2 * cosine).mean()),
        f"{names[0]}_uniformity": uniformity(x, name=names[0], block=block, mesh=mesh),
        f"{names[1]}_uniformity": uniformity(y, name=names[1], block=block, mesh=mesh),
    }


def uniformity(x, *, name: str = "example", block: int = 1024, mesh: Mesh | None = None) -> float:
    """log of the mean over pairs i != j of exp(-2 |x_i - x_j|^2) (Wang & Isola 2020, t = 2); lower is more uniform.

    Args:
        x: (N, D) unit rows, N at least 2. Memory grows with block squared, not with N squared.

    Raises:
        UserError: fewer than two rows, or a row that is not finite.
    """
    x = inputs.embeddings(x, name)
    if len(x) < 2:
        raise UserError(f"the uniformity of one {name} embedding", remedy="give at least two")
    mesh = mesh or sharded.one_device()
    rows = sharded.place(mesh, block, x=x, squared=np.einsum("nd,nd->n", x, x))
    start = sharded.place(mesh, block, total=np.zeros(len(x), np.float32))["total"]
    totals = sharded.fetch(sharded.fold(_kernel_sum, start, rows, rows, mesh), len(x), mesh)
    return float(np.log(totals.sum(dtype=np.float64) / (len(x) * (len(x) - 1))))


def _kernel_sum(total, queries, gallery):
    dots = sharded.similarity(queries, gallery)  # -inf, and so a kernel of 0, where the gallery is filled up
    distances = queries["squared"][:, None] + gallery["squared"][None, :] - 2 * dots
    others = queries["index"][:, None] != gallery["index"][None, :]
    return total + jnp.sum(jnp.where(others, jnp.exp(-2 * jnp.maximum(distances, 0.0)), 0.0), axis=1)
