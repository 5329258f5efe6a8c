"""Cross-entropy of anchors against candidates, all logits at once: the oracle of every leaner form."""

import jax
import jax.numpy as jnp

from mmjax.losses.masked import masked_mean


def mean_cross_entropy(z, weights, keep, smoothing: float = 0.0):
    """mean_i[-sum_j t_ij log softmax_j(z_ij)] over the rows i that have a candidate of positive weight; 0 if none has.

    Args:
        z: (B, C) logits, finite.
        weights: (B, C) >= 0; t is these over their sum in the row, or mixed with what is even over candidates.
        keep: (B, C) bool, the candidates of each row.
        smoothing: share of the even part in t.
    """
    weights = jnp.where(keep, weights, 0.0)
    total = jnp.sum(weights, axis=1, keepdims=True)
    valid = total > 0
    candidates = keep.astype(jnp.float32)
    even = candidates / jnp.maximum(jnp.sum(candidates, axis=1, keepdims=True), 1.0)
    targets = (1 - smoothing) * weights / jnp.where(valid, total, 1.0) + smoothing * even
    # A row without candidates keeps them all for the softmax, so that it is of something; the row itself is left out.
    kept = jnp.where(keep | ~valid, z, -jnp.inf)
    largest = jax.lax.stop_gradient(jnp.max(kept, axis=1, keepdims=True))  # taken off: a small loss keeps its digits
    log_sum = jnp.log(jnp.sum(jnp.exp(kept - largest), axis=1, keepdims=True))
    losses = log_sum - jnp.sum(targets * jnp.where(keep, z - largest, 0.0), axis=1, keepdims=True)
    return masked_mean(losses, valid)
