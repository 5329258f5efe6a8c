"""Losses between two distributions over the batch: of similarities and of identities, of student and of teacher."""

import jax
import jax.numpy as jnp

from mmjax.losses.anchors import over_anchors
from mmjax.losses.checks import check_above_0, check_finite, check_ids, check_scale
from mmjax.losses.logits import logits
from mmjax.losses.masked import masked_log_softmax, masked_mean, present_pair


def similarity_distribution_matching(x, y, scale, *, ids=None, eps=1e-8, x_present=None, y_present=None, impl="dense"):
    """Reverse KL from the softmax of similarities to the distribution of equal identities, mean over anchors.

    L = mean_i sum_j p_ij log(p_ij / (q_ij + eps)) + the same of y to x, p_ij = softmax_j(s x_i.y_j) and
    q_ij = [id_i = id_j] / sum_k [id_i = id_k] (SDM of IRRA, Jiang & Ye 2023, arXiv 2303.12501, section 3.3): the sum
    of both directions, not half of it. q is made to sum to one over each anchor's candidates, as in the paper; the
    released code divides by the sums of the columns, which differ from those of the rows once samples are missing.

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16.
        scale: () the factor of the similarities, 1/temperature (the paper: 50).
        ids: (B,) int; pairs with equal ids are positives. None: only x_i with y_i.
        eps: keeps the logarithm finite; a wrong match costs at most -log(eps).
        x_present, y_present: (B,) bool; a missing sample is no anchor and no candidate, and an anchor whose positives
            are all missing does not count.
        impl: "dense": all (B, B) similarities at once. "blockwise": those of a few hundred anchors at a time.

    Returns:
        () float32; 0 where no anchor has a positive.

    Raises:
        ValueError: if shapes do not match, `scale` or `eps` is not above 0, or `impl` is unknown.
    """
    check_above_0(eps=eps)
    x, y, x_present, y_present = present_pair(x, y, x_present, y_present)
    check_scale(scale)
    check_ids(ids, len(x))
    ids = jnp.arange(len(x)) if ids is None else ids

    def divergence(anchors, here, candidates, there):
        def positives(tile):
            return (tile["id"][:, None] == ids[None, :]) & tile["present"][:, None] & there[None, :]

        def to_identities(tile):
            match, pairs = positives(tile), tile["present"][:, None] & there[None, :]
            count = jnp.sum(match, axis=1, dtype=jnp.float32, keepdims=True)
            identity = match.astype(jnp.float32) / jnp.maximum(count, 1.0)
            log_p = masked_log_softmax(scale * logits(tile["vector"], candidates), pairs)
            terms = jnp.where(pairs, jnp.exp(log_p) * (log_p - jnp.log(identity + eps)), 0.0)
            return jnp.sum(terms, axis=1)

        rows = {"vector": anchors, "present": here, "id": ids}
        matched = over_anchors(lambda tile: jnp.any(positives(tile), axis=1), rows, impl=impl)
        return masked_mean(over_anchors(to_identities, rows, impl=impl), matched)

    return divergence(x, x_present, y, y_present) + divergence(y, y_present, x, x_present)


def logit_distillation(x, y, scale, teacher_logits, *, x_present=None, y_present=None):
    """Cross-entropy from a teacher's matching of the batch to the student's, mean over anchors.

    L = 1/2 mean_i[-sum_j softmax_j(t_ij) log softmax_j(s x_i.y_j)] + 1/2 the same along the columns (open_clip's
    `DistillClipLoss`, without its contrastive term). Its least value is the mean entropy of the teacher, not 0. No
    gradient reaches the teacher.

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16: the student's.
        scale: () the student's factor of the similarities, 1/temperature.
        teacher_logits: (B, B) floating, the teacher's scaled similarities of x_i (rows) and y_j (columns). Its width
            may differ from the student's: only logits meet.
        x_present, y_present: (B,) bool; a missing sample is no anchor and no candidate, for student and teacher alike.
            What `teacher_logits` holds in its row or column does not matter.

    Returns:
        () float32; 0 where no pair is present.

    Raises:
        ValueError: if shapes do not match, `scale` is not above 0 or the logits of present pairs are not finite.
    """
    z, pairs = _scaled(x, y, scale, x_present, y_present)
    if teacher_logits.shape != z.shape:
        raise ValueError(f"teacher_logits {teacher_logits.shape} must be {z.shape}: a logit for every pair")
    teacher = jnp.where(pairs, jax.lax.stop_gradient(teacher_logits).astype(jnp.float32), 0.0)
    check_finite("teacher_logits", teacher)

    def cross_entropy(z, teacher, pairs):
        target = jnp.where(pairs, jnp.exp(masked_log_softmax(teacher, pairs)), 0.0)
        return masked_mean(-jnp.sum(target * masked_log_softmax(z, pairs), axis=1), jnp.any(pairs, axis=1))

    return (cross_entropy(z, teacher, pairs) + cross_entropy(z.T, teacher.T, pairs.T)) / 2


def _scaled(x, y, scale, x_present, y_present):
    """(B, B) float32 scaled similarities, and which of them are between present samples."""
    x, y, x_present, y_present = present_pair(x, y, x_present, y_present)
    check_scale(scale)
    return scale * logits(x, y), x_present[:, None] & y_present[None, :]
