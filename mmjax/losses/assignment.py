"""Assignments of samples to prototypes, evened out over the batch, and each view's prediction of the other's."""

import jax
import jax.numpy as jnp

from mmjax.losses.checks import check_above_0, check_rows
from mmjax.losses.masked import masked_mean, present_rows


def sinkhorn(scores, *, epsilon=0.05, iterations=3, present=None):
    """Soft assignments of the batch to prototypes, all prototypes used alike (Sinkhorn-Knopp, in log space).

    Q = exp(scores / epsilon), then in turn: every prototype's sum over the global batch made equal, every sample's sum
    over prototypes made one (SwAV, Caron et al. 2020, arXiv 2006.09882, eq. 5). The samples' turn is last: rows sum to
    one exactly, prototypes to B/K only in the limit. The released code exponentiates, which overflows float32 where
    scores / epsilon exceeds 88; logarithms do not.

    Args:
        scores: (B, K) similarities to the prototypes, any floating dtype.
        epsilon: smoothness of the assignment, above 0.
        iterations: rounds of the two normalisations, at least 1.
        present: (B,) bool; a missing sample has no share in any prototype.

    Returns:
        (B, K) float32; rows sum to one, those of missing samples to zero.

    Raises:
        ValueError: if shapes do not match, `epsilon` is not above 0 or `iterations` is below 1.
    """
    check_above_0(epsilon=epsilon, iterations=iterations)
    scores, present = present_rows(scores, present)
    check_rows(scores=scores)
    log_q = scores.astype(jnp.float32) / epsilon
    for _ in range(iterations):
        log_q -= jax.nn.logsumexp(jnp.where(present[:, None], log_q, -jnp.inf), axis=0, keepdims=True)
        log_q = jax.nn.log_softmax(log_q, axis=1)
    return jnp.where(present[:, None], jnp.exp(log_q), 0.0)


def swapped_prediction(
    x_scores, y_scores, *, temperature=0.1, epsilon=0.05, iterations=3, x_present=None, y_present=None
):
    """Each view's softmax over prototypes shall predict the other view's assignment; mean over samples.

    L = -1/2 mean_i sum_k [q^y_ik log p^x_ik + q^x_ik log p^y_ik], p = softmax_k(scores / temperature) and
    q = `sinkhorn(scores)`, which takes no gradient (SwAV, arXiv 2006.09882, eq. 1 and 2). Half the sum of the two
    directions, as released; eq. 1 writes the sum.

    Args:
        x_scores, y_scores: (B, K) similarities of the views to the prototypes, any floating dtype.
        temperature: of the predictions, above 0.
        epsilon, iterations: of the assignments.
        x_present, y_present: (B,) bool; a view's assignments are evened out over its own present samples, the mean is
            over samples present in both.

    Returns:
        () float32; 0 where no sample has both views.

    Raises:
        ValueError: if shapes do not match, `temperature` or `epsilon` is not above 0 or `iterations` is below 1.
    """
    check_above_0(temperature=temperature)
    x_scores, x_present = present_rows(x_scores, x_present, "x_present")
    y_scores, y_present = present_rows(y_scores, y_present, "y_present")
    check_rows(x_scores=x_scores, y_scores=y_scores)

    def cross_entropy(target_scores, target_present, scores):
        q = jax.lax.stop_gradient(
            sinkhorn(target_scores, epsilon=epsilon, iterations=iterations, present=target_present)
        )
        return -jnp.sum(q * jax.nn.log_softmax(scores.astype(jnp.float32) / temperature, axis=1), axis=1)

    both_ways = cross_entropy(y_scores, y_present, x_scores) + cross_entropy(x_scores, x_present, y_scores)
    return masked_mean(both_ways / 2, x_present & y_present)
