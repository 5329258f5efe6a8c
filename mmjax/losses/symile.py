"""Symile: the contrastive loss of any number of modalities at once, by products over all of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.losses.anchors import BLOCK, aligned, masked_logsumexp, over_anchors
from mmjax.losses.checks import check_scale
from mmjax.losses.logits import logits
from mmjax.losses.masked import masked_mean

NEGATIVES = ("n", "n_squared")
# The dense form refuses more bytes of logits than this.
DENSE_BYTES = 4 * 2**30


def symile(
    vectors,
    scale,
    *,
    negatives="n",
    permutations=None,
    key=None,
    present=None,
    impl="dense",
    block=BLOCK,
):
    """Every modality in turn picks its own tuple of the others; mean over anchors and over modalities.

    L = 1/M sum_m mean_i -log[exp(s <v_i>) / (exp(s <v_i>) + sum_neg exp(s <v_neg>))],
    <v> = sum_d prod_m v_m,d, the multilinear inner product; a negative of anchor v_m,i puts other samples' vectors in
    the place of the other modalities' (Symile, Saporta et al. 2024, arXiv 2411.01053). It is a bound on
    the total correlation, so that it sees what no pair of modalities shows.

    negatives="n": one set of B products of the others, each other modality shuffled by itself, in which anchor i's
    product i gives way to its positive: B - 1 negatives; as in the official code a shuffle may bring a positive back.
    "n_squared": all B^(M-1) products; for M = 2 this is symmetric InfoNCE.

    A sample that lacks a modality is no anchor; a product with a missing member is no candidate. What is present of
    such a sample still takes part in others' negatives.

    Args:
        vectors: sequence of M >= 2 arrays (B, D) of unit rows, float32 or bfloat16.
        scale: () the factor of the products; not its logarithm. Products of M unit vectors are much smaller than
            cosines, so it grows larger than a pairwise loss's.
        negatives: "n" or "n_squared".
        permutations: (M, M-1, B) int, for "n": row [m, k] shuffles the k-th modality other than m; `key` instead
            draws them (`symile_permutations`).
        key: a PRNG key.
        present: M entries, (B,) bool or None each; None: nothing is missing.
        impl: "dense": all logits at once. "blockwise": `block` anchors against B products at a time.
        block: anchors of a tile.

    Returns:
        () float32; 0 if no sample is complete.

    Raises:
        ValueError: if shapes or options do not fit, or the dense logits would take more than 4 GiB.
    """
    vectors, present = aligned(vectors, present)
    check_scale(scale)
    scale = jnp.asarray(scale, jnp.float32)
    modalities, rows = len(vectors), len(vectors[0])
    sets = _count_sets(negatives, permutations, key, modalities, rows, impl)
    if negatives == "n":
        if permutations is None:
            permutations = symile_permutations(key, modalities, rows)
        _check_permutations(permutations, modalities, rows)
    vectors, present = jnp.stack(vectors).astype(jnp.float32), jnp.stack(present)
    positive = scale * jnp.sum(functools.reduce(jnp.multiply, vectors), axis=1)

    def of_modality(turn):
        others = vectors[turn["others"]], present[turn["others"]]
        if negatives == "n":
            shuffled = _product(*(jax.vmap(lambda x, order: x[order])(x, turn["permutations"]) for x in others))
            candidates = lambda number: shuffled  # noqa: E731
        else:
            candidates = functools.partial(_rolled_product, *others)
        known = {"anchor": turn["anchor"], "positive": positive, "index": jnp.arange(rows)}
        per_anchor = functools.partial(_anchor_losses, candidates, sets, scale, impl)
        return masked_mean(over_anchors(per_anchor, known, impl=impl, block=block), jnp.all(present, axis=0))

    others = [[k for k in range(modalities) if k != m] for m in range(modalities)]
    turns = {"anchor": vectors, "others": jnp.asarray(others)}
    if negatives == "n":
        turns["permutations"] = jnp.asarray(permutations)
    return jnp.mean(jax.lax.map(of_modality, turns))


def symile_permutations(key, modalities: int, rows: int):
    """(M, M-1, B) int32: a shuffle of each other modality for each anchor modality, all drawn independently."""
    keys = jax.random.split(key, (modalities, modalities - 1))
    return jax.vmap(jax.vmap(lambda k: jax.random.permutation(k, rows)))(keys)


def _anchor_losses(candidates, sets: int, scale, impl: str, anchors):
    """(t,) losses of a tile of anchors against `sets` sets of B products; set 0 holds each anchor's positive."""

    def set_logsum(s):
        product, kept = candidates(s)
        own = (anchors["index"][:, None] == jnp.arange(len(product))[None, :]) & (s == 0)
        # The positive is taken off before the sum of exponentials: a small loss keeps its digits.
        z = scale * logits(anchors["anchor"], product) - anchors["positive"][:, None]
        return masked_logsumexp(jnp.where(own, 0.0, z), own | kept[None, :])

    if sets == 1:
        return set_logsum(0)
    if impl == "dense":
        sums = jax.vmap(set_logsum)(jnp.arange(sets))
    else:
        sums = jax.lax.map(jax.checkpoint(set_logsum), jnp.arange(sets))
    return masked_logsumexp(sums, jnp.isfinite(sums), axis=0)


def _product(vectors, present):
    """The product (B, D) of other modalities' vectors (M-1, B, D), and where it is whole, (B,) bool."""
    return functools.reduce(jnp.multiply, vectors), jnp.all(present, axis=0)


def _rolled_product(vectors, present, number):
    """Set `number` of all products: its digits to base B say how far each other modality but the first is rolled."""
    product, whole = vectors[0], present[0]
    for v, p in zip(vectors[1:], present[1:], strict=True):
        number, shift = jnp.divmod(number, len(v))
        product, whole = product * jnp.roll(v, shift, axis=0), whole & jnp.roll(p, shift)
    return product, whole


def _count_sets(negatives: str, permutations, key, modalities: int, rows: int, impl: str) -> int:
    """The number of sets of B products an anchor meets; raises ValueError for options that do not go together."""
    if negatives not in NEGATIVES:
        raise ValueError(f"unknown negatives {negatives!r}: use one of {', '.join(NEGATIVES)}")
    given = (permutations is not None) + (key is not None)
    if negatives == "n":
        if given != 1:
            raise ValueError(f"{'both' if given else 'neither'} of permutations and key given: 'n' needs one of them")
        return 1
    if given:
        raise ValueError("negatives='n_squared' takes every product: give neither permutations nor key")
    needed, ways = 4 * modalities * rows**modalities, "impl='blockwise', a smaller batch, or negatives='n'"
    if impl == "dense" and needed > DENSE_BYTES:
        raise ValueError(
            f"'n_squared' of {modalities} modalities and {rows} rows has {needed:,} bytes of logits, more than the "
            f"{DENSE_BYTES:,} that impl='dense' takes: use {ways}"
        )
    if rows ** (modalities - 2) >= 2**31:
        raise ValueError(f"'n_squared' of {modalities} modalities and {rows} rows has no end: use negatives='n'")
    return rows ** (modalities - 2)


def _check_permutations(permutations, modalities: int, rows: int) -> None:
    """Raise ValueError unless `permutations` is (M, M-1, B) integers and, where its values are known, shuffles."""
    shape = (modalities, modalities - 1, rows)
    if tuple(permutations.shape) != shape or not jnp.issubdtype(permutations.dtype, jnp.integer):
        raise ValueError(
            f"permutations are {permutations.dtype} {tuple(permutations.shape)}: give integers {shape}, for each "
            "anchor modality a shuffle of each other one"
        )
    if isinstance(permutations, jax.core.Tracer):
        return
    if not (np.sort(np.asarray(permutations), axis=-1) == np.arange(rows)).all():
        raise ValueError(f"permutations {shape}: every row must hold each of 0 ... {rows - 1} once")
