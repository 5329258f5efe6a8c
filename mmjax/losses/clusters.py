"""k-means inside a compiled step: starts far apart, Lloyd's rounds, and the means of any rows over given clusters."""

import jax
import jax.numpy as jnp

from mmjax.losses.anchors import BLOCK, over_anchors
from mmjax.losses.checks import check_above_0, check_rows
from mmjax.losses.logits import logits

NOWHERE = -1


def kmeans(x, start, *, valid=None, iterations=20, block=BLOCK):
    """Lloyd's algorithm: rows to the nearest centroid, centroids to the mean of their rows, in turn.

    Args:
        x: (N, D) rows.
        start: (K, D) centroids to begin with.
        valid: (N,) bool; other rows belong to no cluster.
        iterations: rounds.
        block: rows whose K distances are held at once.

    Returns:
        (labels (N,) int32, -1 where not valid; centroids (K, D) float32). A cluster that loses all its rows stays where
        it is.
    """
    check_above_0(iterations=iterations)
    check_rows(x=x)
    x, valid = x.astype(jnp.float32), jnp.ones(len(x), bool) if valid is None else valid

    def move(_, centroids):
        means, sizes = cluster_means(x, nearest(x, centroids, valid=valid, block=block), len(centroids))
        return jnp.where(sizes[:, None] > 0, means, centroids)

    centroids = jax.lax.fori_loop(0, iterations, move, start.astype(jnp.float32))
    return nearest(x, centroids, valid=valid, block=block), centroids


def nearest(x, centroids, *, valid=None, block=BLOCK):
    """(N,) int32, the centroid (K, D) that is nearest to each row of x (N, D), the first of equals; -1 if not valid."""
    lengths = jnp.sum(jnp.square(centroids), axis=1)

    def label(rows):
        distances = lengths[None, :] - 2 * logits(rows, centroids)
        return jnp.argmin(distances, axis=1).astype(jnp.int32)

    labels = over_anchors(label, x, impl="blockwise", block=block)
    return labels if valid is None else jnp.where(valid, labels, NOWHERE)


def cluster_means(x, labels, count: int):
    """(means (K, D) float32, sizes (K,) float32) of the rows of x (N, D) by `labels` (N,); zeros for an empty cluster.

    Rows with the label -1 belong to none. With the labels of another space this is ProtoCLIP's back translation (Chen
    et al. 2022, arXiv 2206.10996): the prototypes of a teacher's clusters in the student's own space.
    """
    place = jnp.where(labels < 0, count, labels)  # out of range: dropped
    sums = jnp.zeros((count, x.shape[1]), jnp.float32).at[place].add(x.astype(jnp.float32), mode="drop")
    sizes = jnp.zeros((count,), jnp.float32).at[place].add(1.0, mode="drop")
    return sums / jnp.maximum(sizes, 1.0)[:, None], sizes


def far_apart(key, x, count: int, *, valid=None):
    """(count, D) float32 rows of x (N, D), each drawn by its squared distance to those drawn before.

    k-means++ (Arthur and Vassilvitskii 2007). Rows that are not valid are not drawn, as long as others are left.

    Args:
        key: the random key.
        x: (N, D) rows.
        count: how many.
        valid: (N,) bool.
    """
    x = x.astype(jnp.float32)
    there = jnp.ones(len(x), bool) if valid is None else valid

    def draw(n, carry):
        chosen, squared = carry
        odds = jnp.where(there, jnp.log(squared), -jnp.inf)
        drawn = jnp.arange(len(x)) == jax.random.categorical(jax.random.fold_in(key, n), odds)
        # As a sum, since an index into rows that are split over devices would bring all of them to each.
        row = jnp.sum(jnp.where(drawn[:, None], x, 0.0), axis=0)
        distances = jnp.sum(jnp.square(x - row[None, :]), axis=1)
        return chosen.at[n].set(row), jnp.minimum(squared, distances)

    start = jnp.zeros((count, x.shape[1]), jnp.float32), jnp.full((len(x),), 1e30)
    return jax.lax.fori_loop(0, count, draw, start)[0]
