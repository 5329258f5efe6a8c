"""The shape of two modalities' embeddings: how far apart, how directed, how many dimensions, how many hubs."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mmjax.errors import UserError
from mmjax.evaluation import inputs, sharded
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.gap import gap
from mmjax.evaluation.hubness import hubness
from mmjax.evaluation.linear_probe import linear_probe
from mmjax.evaluation.names import side_names
from mmjax.evaluation.result import Result
from mmjax.rng import numpy_generator

STRENGTH = 1e-4  # of the regulariser of `separability`


@dataclasses.dataclass(frozen=True)
class Geometry:
    """The gap and the shape of the embeddings of pictures and captions that belong together, pair by pair.

    Attributes:
        source: what is evaluated, as data.source.
        captions: template of the captions; the first of a record is its pictures' partner.
        language: language of text fields that have several.
        image_keys: endings of the pictures' members; none: those that the stream takes.
        streams: the picture stream and the text stream that encode them.
        every: time between evaluations; one more at the end.
    """

    source: str
    captions: str = "{txt}"
    language: str = "en"
    image_keys: tuple = ()
    streams: tuple = ("image", "text")
    every: str = "100%"

    def __call__(self, embeddings: Embeddings) -> Result:
        """The metrics of `geometry`."""
        asked = {"captions": self.captions, "language": self.language}
        first, second = self.streams
        x = embeddings.rows(self.source, first, keys=self.image_keys, **asked)
        y = embeddings.rows(self.source, second, **asked)
        vectors, partners = pair_rows(x, y)
        return Result(
            geometry(vectors, partners, names=side_names(self.streams), mesh=embeddings.mesh), {"separability": 0.5}
        )


def pair_rows(x, y) -> tuple[np.ndarray, np.ndarray]:
    """(N, D), (N, D): the rows of x whose record y has too, and y's first row of each of those records."""
    records, first = np.unique(y.records, return_index=True)
    paired = np.isin(x.records, records)
    return x.vectors[paired], y.vectors[first[np.searchsorted(records, x.records[paired])]]


def geometry(x, y, *, names=("image", "text"), block: int = 1024, mesh: Mesh | None = None) -> dict[str, float]:
    """The metrics of `gap` and, of N pairs of embeddings:

    - `separability`: see there;
    - `<name>_effective_rank`, `<name>_anisotropy`: see there;
    - `<x>_to_<y>_hubness`, and back: skewness of the 10-occurrence;
    - `<x>_intra_before`: mean share of the other x that are nearer to an x than its own y is; `<x>_inter_before`: the
      share of the other y that are. Where modalities lie apart, the first is large while the second is small.

    Args:
        x, y: (N, D) unit rows, x[i] and y[i] a pair; N at least 10.
        names: names of the two sets.
        block, mesh: as for `mmjax.evaluation.retrieval.retrieval`.

    Raises:
        UserError: fewer than ten pairs, arrays that do not fit together, an embedding that is not finite.
    """
    options = {"block": block, "mesh": mesh}
    metrics = gap(x, y, names=names, **options) | {"separability": separability(x, y, mesh=mesh)}
    for name, other, a, b in ((*names, x, y), (*names[::-1], y, x)):
        metrics[f"{name}_effective_rank"] = effective_rank(a, name=name)
        metrics[f"{name}_anisotropy"] = anisotropy(a, name=name)
        metrics[f"{name}_to_{other}_hubness"] = hubness(a, b, **options)
        metrics[f"{name}_intra_before"] = share_before(a, b, a, **options)
        metrics[f"{name}_inter_before"] = share_before(a, b, b, **options)
    return metrics


def separability(x, y, *, seed: int = 0, mesh: Mesh | None = None) -> float:
    """How often a logistic regression tells, of a fifth of the pairs, which modality a vector is of.

    It is trained on the other four fifths: 1 where a plane divides the modalities, 0.5 where they lie together (Fahim
    et al. 2024, arXiv 2405.18570; both vectors of a pair on the same side of the split).

    Args:
        x, y: (N, D) unit rows of pairs, N at least 10.
        seed: of the split.
        mesh: devices to use.

    Raises:
        UserError: fewer than ten pairs, unequal numbers of rows.
    """
    x, y = inputs.pair(x, y, ("first", "second"))
    if len(x) != len(y) or len(x) < 10:
        raise UserError(f"separability of {len(x)} and {len(y)} embeddings", remedy="give ten pairs or more")
    order = numpy_generator(seed, "separability").permutation(len(x))
    test, train = np.split(order, [len(x) // 5])
    sides = [
        part for rows in (train, test) for part in (np.concatenate([x[rows], y[rows]]), np.repeat([0, 1], len(rows)))
    ]
    return linear_probe(*sides, strengths=(STRENGTH,), mesh=mesh)["acc1"]


def effective_rank(x, *, name: str = "example") -> float:
    """exp of the entropy of the singular values of x (N, D) over their sum (Roy & Vetterli 2007); 1 to min(N, D).

    Of the rows as they are: not centred.
    """
    x = inputs.embeddings(x, name).astype(np.float64)
    smaller = x.T @ x if x.shape[0] >= x.shape[1] else x @ x.T
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(smaller), 0))
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-np.sum(shares * np.log(shares))))


def anisotropy(x, *, name: str = "example") -> float:
    """The mean cosine between two different rows of x (N, D) of unit norm (Ethayarajh 2019, arXiv 1909.00512).

    Raises:
        UserError: fewer than two rows.
    """
    x = inputs.embeddings(x, name).astype(np.float64)
    if len(x) < 2:
        raise UserError(f"the anisotropy of one {name} embedding", remedy="give at least two")
    total = x.sum(axis=0)
    return float((total @ total - np.sum(x * x)) / (len(x) * (len(x) - 1)))


def share_before(x, y, gallery, *, block: int = 1024, mesh: Mesh | None = None) -> float:
    """The mean over i of the share of the other rows j of the gallery that are nearer to x_i than its partner y_i is.

    Rows as near as the partner, such as captions of the same words, are not nearer.

    Args:
        x, y, gallery: (N, D) unit rows, in the order of the pairs.
    """
    mesh = mesh or sharded.one_device()
    x, y = inputs.pair(x, y, ("first", "second"))
    queries = sharded.place(mesh, block, x=x)
    start = sharded.place(mesh, block, own=np.zeros(len(x), np.float32), count=np.zeros(len(x), np.int32))
    # By the same products as the others', so that a row equal to the partner is not nearer by rounding.
    own = sharded.fold(_find_own, start["own"], queries, sharded.place(mesh, block, x=y), mesh)
    placed = sharded.place(mesh, block, x=gallery)
    counts = sharded.fold(_count_nearer, start["count"], queries | {"own": own}, placed, mesh)
    return float(sharded.fetch(counts, len(x), mesh).mean() / (len(x) - 1))


def _find_own(own, queries, gallery):
    partner = queries["index"][:, None] == gallery["index"][None, :]
    found = jnp.max(jnp.where(partner, sharded.similarity(queries, gallery), -jnp.inf), axis=1)
    return jnp.where(jnp.any(partner, axis=1), found, own)


def _count_nearer(count, queries, gallery):
    nearer = sharded.similarity(queries, gallery) > queries["own"][:, None]
    others = queries["index"][:, None] != gallery["index"][None, :]
    return count + jnp.sum(nearer & others, axis=1, dtype=jnp.int32)
