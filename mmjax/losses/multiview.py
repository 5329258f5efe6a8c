"""Losses of any number of views or modalities with one term for each sample: MV-InfoNCE and MV-DHEL."""

import itertools

import jax
import jax.numpy as jnp

from mmjax.losses.anchors import BLOCK, aligned, masked_logsumexp, over_anchors
from mmjax.losses.checks import check_scale
from mmjax.losses.logits import logits
from mmjax.losses.masked import masked_mean


def mv_infonce(vectors, scale, *, present=None, impl="dense", block=BLOCK):
    """All pairs of a sample's views together against all pairs across samples; mean over samples.

    L = -1/B sum_i log[ sum_{l != m} exp(s u_l,i . u_m,i) / sum_{l != m, j} exp(s u_l,i . u_m,j) ]
    (Koromilas et al. 2025, arXiv 2507.06979). The sums stand inside one logarithm, in log space. The official code
    also counts other samples' vectors of the same view, l = m and j != i, as negatives; the paper and this do not.

    Args:
        vectors: sequence of M >= 2 arrays (B, D) of unit rows, float32 or bfloat16.
        scale: () the factor of the similarities, 1/temperature; not its logarithm.
        present: M entries, (B,) bool or None each. Sums run over the vectors that are there; a sample with fewer than
            two of its views has no positive pair and is no anchor.
        impl: "dense": all logits at once. "blockwise": those of `block` samples at a time.
        block: samples of a tile.

    Returns:
        () float32; 0 if no sample has two views.

    Raises:
        ValueError: if shapes, values or options do not fit.
    """
    scale, views = _views(vectors, scale, present)

    def per_sample(tile):
        sums = []
        for view, other in itertools.permutations(range(len(vectors)), 2):
            keep = tile["present"][:, view, None] & views["present"][None, :, other]
            z = scale * logits(tile["vectors"][:, view], views["vectors"][:, other])
            sums.append(masked_logsumexp(z - tile["aligned"][:, None], keep))
        sums = jnp.stack(sums)
        return masked_logsumexp(sums, jnp.isfinite(sums), axis=0, empty=0.0)

    return masked_mean(over_anchors(per_sample, views, impl=impl, block=block), _paired(views))


def mv_dhel(vectors, scale, *, present=None, impl="dense", block=BLOCK):
    """Views of a sample aligned together, samples spread apart in each view by itself; mean over samples.

    L = -1/B sum_i log[ sum_{l != m} exp(s u_l,i . u_m,i) / prod_l sum_{j != i} exp(s u_l,i . u_l,j) ]
    (Koromilas et al. 2025, arXiv 2507.06979). As in DHEL (Koromilas et al. 2024, arXiv 2405.18045), which this is for
    two views up to log 2, a vector is no negative of itself. The numerator counts either order of a pair, as the paper
    writes it; the official code counts one, log 2 more, and multiplies the sums themselves, which overflow.

    Args:
        vectors: sequence of M >= 2 arrays (B, D) of unit rows, float32 or bfloat16.
        scale: () the factor of the similarities, 1/temperature; not its logarithm.
        present: M entries, (B,) bool or None each. Sums and the product run over the vectors that are there, without a
            factor for a view that no other sample has; a sample with fewer than two of its views is no anchor.
        impl: "dense": all logits at once. "blockwise": those of `block` samples at a time.
        block: samples of a tile.

    Returns:
        () float32; 0 if no sample has two views.

    Raises:
        ValueError: if shapes, values or options do not fit.
    """
    scale, views = _views(vectors, scale, present)

    def per_sample(tile):
        others = tile["index"][:, None] != views["index"][None, :]
        spread = 0.0
        for view in range(len(vectors)):
            keep = others & tile["present"][:, view, None] & views["present"][None, :, view]
            z = scale * logits(tile["vectors"][:, view], views["vectors"][:, view])
            spread += masked_logsumexp(z, keep, empty=0.0)
        return spread - tile["aligned"]

    return masked_mean(over_anchors(per_sample, views, impl=impl, block=block), _paired(views))


def _views(vectors, scale, present):
    """(scale, samples): vectors (B, M, D), presence (B, M), index (B,) and `aligned` (B,), the log of the numerator."""
    vectors, present = aligned(vectors, present)
    check_scale(scale)
    scale = jnp.asarray(scale, jnp.float32)
    stacked, there = jnp.stack(vectors, axis=1), jnp.stack(present, axis=1)
    precision = {"precision": jax.lax.Precision.HIGHEST, "preferred_element_type": jnp.float32}
    pairs = scale * jnp.einsum("bld,bmd->blm", stacked, stacked, **precision)
    keep = there[:, :, None] & there[:, None, :] & ~jnp.eye(len(vectors), dtype=bool)[None]
    flat = (len(stacked), -1)
    own = masked_logsumexp(pairs.reshape(flat), keep.reshape(flat), empty=0.0)
    return scale, {"vectors": stacked, "present": there, "index": jnp.arange(len(stacked)), "aligned": own}


def _paired(views):
    """(B,) bool: the samples of which at least two views are there."""
    return jnp.sum(views["present"], axis=1) >= 2
