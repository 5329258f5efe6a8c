"""GRAM: contrast by the volume that an anchor spans with a sample's vectors of all other modalities."""

import functools

import jax
import jax.numpy as jnp

from mmjax.losses.anchors import BLOCK, aligned, masked_logsumexp, over_anchors
from mmjax.losses.checks import check_scale, check_share
from mmjax.losses.logits import logits
from mmjax.losses.masked import masked_mean

# The root's slope is infinite at volume 0, and the float32 rounding of a determinant of unit vectors is about 1e-7.
LEAST_SQUARED_VOLUME = 1e-6


def gram_volume(vectors):
    """(B,) volumes of the parallelotopes that each row's vectors span: sqrt(det G), G their inner products.

    1 for orthonormal vectors, sqrt(1 - cos^2) for two unit vectors, unchanged by their order and signs (GRAM, Cicchetti
    et al. 2024, arXiv 2412.11959). Volumes below 1e-3 are given as 1e-3, with zero gradient: the root's slope is
    infinite at 0.

    Args:
        vectors: sequence of at least two arrays (B, D).

    Raises:
        ValueError: if shapes do not match.
    """
    anchor, *others = (v.astype(jnp.float32) for v in aligned(vectors, None)[0])
    tuples = _tuples(others, jnp.ones(len(anchor), bool))
    return _volume(_own_squared(anchor, tuples))


def gram_contrastive(anchor, others, scale, *, label_smoothing=0.0, present=None, impl="dense", block=BLOCK):
    """Cross-entropy of anchors and tuples with logits -s Vol, half of each direction, mean over anchors.

    L = 1/2 mean_i[-log softmax_j(-s V_ij) at i] + 1/2 mean_j[-log softmax_i(-s V_ij) at j],
    V_ij = Vol(a_i, o_1,j, ..., o_k,j): a tuple's members are always one sample's (GRAM, Cicchetti et al. 2024,
    arXiv 2412.11959; the paper's third term, a matching loss, needs a head and is not part of this one).
    All rows carry gradient; in the official code those of other devices do not.

    The volume does not see signs: v and -v are equally near, so that towers trained from scratch may align to -v.

    Args:
        anchor: (B, D) unit rows, float32 or bfloat16.
        others: sequence of k >= 1 arrays (B, D) alike.
        scale: () the factor of the volumes, 1/temperature; not its logarithm.
        label_smoothing: share in [0, 1) of every target that is spread over the anchor's candidates.
        present: 1 + k entries for anchor and others, (B,) bool or None each. A tuple that lacks a member is left out
            whole, since volumes of fewer vectors do not compare; an anchor without its tuple is one no longer.
        impl: "dense": all (B, B) volumes at once. "blockwise": those of `block` anchors at a time.
        block: anchors of a tile.

    Returns:
        () float32; 0 if no sample is complete.

    Raises:
        ValueError: if shapes, values or options do not fit.
    """
    names = ["anchor", *(f"others[{k}]" for k in range(len(others)))]
    if not others:
        raise ValueError("others is empty: give at least one (batch, width) array beside the anchor")
    (anchor, *others), (anchor_present, *others_present) = aligned([anchor, *others], present, names=names)
    check_scale(scale)
    scale = jnp.asarray(scale, jnp.float32)
    check_share("label_smoothing", label_smoothing)
    anchors = {"vector": anchor, "present": anchor_present}
    tuples = _tuples(others, functools.reduce(jnp.logical_and, others_present))
    own = {"volume": _volume(_own_squared(anchor, tuples)), "index": jnp.arange(len(anchor))}
    valid = anchors["present"] & tuples["present"]

    def to_tuples(tile):
        volumes = _volume(_squared(tile, tuples))
        return _cross_entropy(volumes, tile, tuples["present"], scale, label_smoothing)

    def to_anchors(tile):
        volumes = _volume(_squared(anchors, tile)).T
        return _cross_entropy(volumes, tile, anchors["present"], scale, label_smoothing)

    losses = over_anchors(to_tuples, anchors | own, impl=impl, block=block)
    losses += over_anchors(to_anchors, tuples | own, impl=impl, block=block)
    return masked_mean(losses, valid) / 2


def _cross_entropy(volumes, tile, kept, scale, smoothing):
    """(t,) losses of rows that see the volumes (t, C) of candidates, their own among them."""
    own = tile["index"][:, None] == jnp.arange(volumes.shape[1])[None, :]
    z = jnp.where(own, 0.0, scale * (tile["volume"][:, None] - volumes))  # relative to the row's own
    keep = own | kept[None, :]
    even = jnp.mean(z, axis=1, where=keep)
    return masked_logsumexp(z, keep) - smoothing * even


def _tuples(others, present):
    """What volumes need to know of every sample's tuple: its vectors, det G of these and the adjugate of G."""
    stacked = jnp.stack(others, axis=1)
    determinant, adjugate = determinant_and_adjugate(_dot("bkd,bld->bkl", stacked, stacked))
    return {"vectors": stacked, "determinant": determinant, "adjugate": adjugate, "present": present}


def _squared(anchors, tuples):
    """(t, C) squared volumes of anchors (t) with tuples (C), by the Schur complement of the tuples' Gram matrix.

    det [[a.a, b'], [b, G]] = a.a det G - b' adj(G) b: a polynomial of inner products, without a division that fails
    where a tuple's own vectors are in line.
    """
    members = tuples["vectors"].shape[1]
    products = [logits(anchors["vector"], tuples["vectors"][:, k]) for k in range(members)]
    form = 0.0
    for k, product in enumerate(products):
        form += product * sum(tuples["adjugate"][None, :, k, m] * products[m] for m in range(members))
    norms = _dot("id,id->i", anchors["vector"], anchors["vector"])
    return norms[:, None] * tuples["determinant"][None, :] - form


def _own_squared(anchor, tuples):
    """(B,) squared volumes of each anchor with its own tuple."""
    products = _dot("bd,bkd->bk", anchor, tuples["vectors"])
    form = _dot("bk,bkl,bl->b", products, tuples["adjugate"], products)
    return _dot("bd,bd->b", anchor, anchor) * tuples["determinant"] - form


def _volume(squared):
    return jnp.sqrt(jnp.maximum(squared, LEAST_SQUARED_VOLUME))


def determinant_and_adjugate(g):
    """det (...,) and adj (..., k, k) of matrices g (..., k, k), by the Faddeev-LeVerrier recursion.

    Products and traces only, so that value and gradient are finite for singular g. Its rounding grows with binomial
    coefficients of k: meant for the few vectors of a tuple.
    """
    k = g.shape[-1]
    eye = jnp.eye(k, dtype=g.dtype)
    m = jnp.broadcast_to(eye, g.shape)
    trace = lambda n: _dot("...ij,...ji->...", g, m) / n  # noqa: E731
    for n in range(1, k):
        m = _dot("...ij,...jk->...ik", g, m) - trace(n)[..., None, None] * jnp.broadcast_to(eye, g.shape)
    sign = (-1) ** (k - 1)
    return sign * trace(k), sign * m


def _dot(subscripts, *arrays):
    return jnp.einsum(subscripts, *arrays, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32)
