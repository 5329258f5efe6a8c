"""The softmax contrastive loss, dense: every logit at once. The oracle of every leaner form."""

import jax
import jax.numpy as jnp

from mmjax.losses.logits import check_pair, logits, positive_pairs


def softmax_contrastive(x, y, scale, *, ids=None):
    """Symmetric InfoNCE over the global batch, mean over anchors.

    L = 1/2 mean_i[-log softmax_j(s x_i.y_j) at i] + 1/2 mean_j[-log softmax_i(s x_i.y_j) at j]
    (CLIP, Radford et al. 2021, arXiv 2103.00020, Figure 3). With `ids` every pair of equal ids is a positive and the
    anchor's cross-entropy is the mean over its positives (SupCon's L_out, Khosla et al. 2020, arXiv 2004.11362, eq. 2).

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16.
        scale: () the factor of the similarities, 1/temperature; not its logarithm.
        ids: (B,) int; pairs with equal ids are positives. None: only x_i with y_i.

    Returns:
        () float32.

    Raises:
        ValueError: if shapes do not match.
    """
    check_pair(x, y, ids)
    z = scale * logits(x, y)
    if ids is None:
        matched = jnp.diagonal(z)  # taken off before the sum of exponentials: a small loss keeps its digits
        to_y = jax.nn.logsumexp(z - matched[:, None], axis=1)
        to_x = jax.nn.logsumexp(z - matched[None, :], axis=0)
        return jnp.mean(to_y + to_x) / 2
    positives = positive_pairs(ids)
    targets = positives / jnp.sum(positives, axis=1, keepdims=True)  # symmetric ids: rows and columns count alike
    to_y = jnp.sum(targets * jax.nn.log_softmax(z, axis=1))
    to_x = jnp.sum(targets.T * jax.nn.log_softmax(z, axis=0))
    return -(to_y + to_x) / (2 * x.shape[0])
