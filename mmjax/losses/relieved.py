"""InfoNCE whose uniformity is relieved: the log-partition counts less than the positive."""

import jax.numpy as jnp

from mmjax.losses.masked import masked_mean, present_pair
from mmjax.losses.softmax import softmax_contrastive


def relieved_contrastive(x, y, scale, *, relief=0.0, x_present=None, y_present=None, impl="dense"):
    """Symmetric InfoNCE less a share of its log-partitions, mean over anchors.

    L = 1/2 mean_i[-s x_i.y_i + (1 - r) log sum_j exp(s x_i.y_j)] + 1/2 the same from y to x

    which is CE - r log sum exp in each direction (CMA, Kim & Hwang 2025, arXiv 2503.18817, with lambda = r): r weakens
    the repulsion and so narrows the gap between modalities; at 1 nothing repels and the embeddings collapse. It equals
    (1 - r) `softmax_contrastive` - r s mean_i x_i.y_i, which is how it is computed, and it may be negative.

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16.
        scale: () the factor of the similarities, 1/temperature.
        relief: r in [0, 1]; 0 is InfoNCE.
        x_present, y_present: (B,) bool; the mean is over anchors whose partner is present.
        impl: "dense", "blockwise", "ring" or "auto", as for `softmax_contrastive`.

    Returns:
        () float32.

    Raises:
        ValueError: if shapes, values or the mesh do not fit; the message names the argument.
    """
    if not 0 <= relief <= 1:
        raise ValueError(f"relief {relief} is a share of the log-partition: give 0 <= relief <= 1")
    present = {"x_present": x_present, "y_present": y_present}
    contrast = softmax_contrastive(x, y, scale, **present, impl=impl)
    x, y, x_present, y_present = present_pair(x, y, **present)
    cosines = jnp.sum(x.astype(jnp.float32) * y.astype(jnp.float32), axis=1)
    return (1 - relief) * contrast - relief * scale * masked_mean(cosines, x_present & y_present)
