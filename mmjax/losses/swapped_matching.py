"""Each pair of views predicts how the batch is matched by another pair of views of the same samples."""

import jax
import jax.numpy as jnp

from mmjax.losses.anchors import aligned, masked_logsumexp, over_anchors
from mmjax.losses.checks import check_above_0, check_scale
from mmjax.losses.logits import logits
from mmjax.losses.masked import masked_mean


def swapped_matching(x, y, x_other, y_other, scale, *, epsilon=0.05, iterations=3, present=None, impl="dense"):
    """Cross-entropy from the evened-out matching of the other views to the matching of these; mean over samples.

    L = -1/2 mean_i sum_j [Q_ij log softmax_j(s x_i.y_j) + R_ij log softmax_j(s y_i.x_j)], Q the Sinkhorn assignment of
    x'_i.y'_j / epsilon with rows of sum one, R that of y'_i.x'_j, both without gradient: SwALIP (Fini et al. 2023,
    arXiv 2305.08675), whose prototypes are the embeddings of the other modality. From the released code.

    Args:
        x, y: (B, D) unit rows, one view of each modality, float32 or bfloat16.
        x_other, y_other: (B, D) unit rows, other views of the same samples.
        scale: () the factor of the similarities, 1/temperature; not its logarithm.
        epsilon: smoothness of the assignment, above 0.
        iterations: rounds of Sinkhorn's two normalisations, at least 1.
        present: (B,) bool, True for samples of which all four views are there.
        impl: "dense": all (B, B) similarities at once. "blockwise": those of a few hundred samples at a time.

    Returns:
        () float32; 0 where no sample is present.

    Raises:
        ValueError: if shapes do not match or an option cannot be.
    """
    check_above_0(epsilon=epsilon, iterations=iterations)
    check_scale(scale)
    names = ["x", "y", "x_other", "y_other"]
    (x, y, *others), (present, *_) = aligned([x, y, x_other, y_other], [present] * 4, names=names)
    x_other, y_other = map(jax.lax.stop_gradient, others)

    def one_way(x, y, x_other, y_other):
        u, v = _potentials(x_other, y_other, present, epsilon, iterations, impl)

        def losses(tile):
            keep = tile["present"][:, None] & present[None, :]
            z = scale * logits(tile["vector"], y)
            log_q = logits(tile["other"], y_other) / epsilon + tile["potential"][:, None] + v[None, :]
            q = jnp.exp(jnp.where(keep, log_q, -jnp.inf))
            return masked_logsumexp(z, keep, empty=0.0) - jnp.sum(q * z, axis=1)

        return over_anchors(losses, {"vector": x, "other": x_other, "potential": u, "present": present}, impl=impl)

    return masked_mean(one_way(x, y, x_other, y_other) + one_way(y, x, y_other, x_other), present) / 2


def _potentials(x, y, present, epsilon, iterations, impl):
    """u, v (B,) float32 with Q_ij = exp(x_i.y_j / epsilon + u_i + v_j): rows sum to one, columns nearly."""

    def balance(rows, columns, potential):
        """The potentials of `rows` that make each row's sum one, given those of the columns."""

        def log_sums(tile):
            keep = tile["present"][:, None] & present[None, :]
            return masked_logsumexp(logits(tile["vector"], columns) / epsilon + potential[None, :], keep, empty=0.0)

        return -over_anchors(log_sums, {"vector": rows, "present": present}, impl=impl)

    u = jnp.zeros(len(x), jnp.float32)
    for _ in range(iterations):
        v = balance(y, x, u)
        u = balance(x, y, v)
    return u, v
