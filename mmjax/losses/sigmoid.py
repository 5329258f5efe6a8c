"""The sigmoid contrastive loss, dense: every logit at once. The oracle of every leaner form."""

import jax
import jax.numpy as jnp

from mmjax.losses.logits import check_pair, logits, positive_pairs


def sigmoid_contrastive(x, y, scale, bias, *, ids=None):
    """Every pair judged by itself: matching or not; sum over all pairs divided by the batch.

    L = -(1/B) sum_ij log sigmoid(z_ij (s x_i.y_j + b)), z_ij = 1 for positives and -1 otherwise
    (SigLIP, Zhai et al. 2023, arXiv 2303.15343, eq. 1).

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16.
        scale: () the factor of the similarities; not its logarithm.
        bias: () added to the scaled similarities.
        ids: (B,) int; pairs with equal ids are positives. None: only x_i with y_i.

    Returns:
        () float32.

    Raises:
        ValueError: if shapes do not match.
    """
    check_pair(x, y, ids)
    z = scale * logits(x, y) + bias
    positives = jnp.eye(x.shape[0], dtype=z.dtype) if ids is None else positive_pairs(ids)
    return -jnp.sum(jax.nn.log_sigmoid((2 * positives - 1) * z)) / x.shape[0]
