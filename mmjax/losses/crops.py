"""SwAV of any number of crops: the assignments of some views, predicted from every other."""

import jax
import jax.numpy as jnp

from mmjax.losses.assignment import sinkhorn
from mmjax.losses.checks import check_above_0, check_not_negative, check_rows
from mmjax.losses.masked import masked_mean, present_rows


def swapped_crops(
    scores,
    *,
    assigned=2,
    temperature=0.1,
    epsilon=0.05,
    iterations=3,
    present=None,
    queues=None,
    queue_present=None,
):
    """Every view's softmax over prototypes shall predict the assignments of the first views; mean over samples.

    L = mean over a < `assigned` and views v != a of mean_i[-sum_k q^a_ik log p^v_ik], p = softmax_k(scores /
    temperature), q = `sinkhorn(scores)` without gradient (SwAV with multi-crop, Caron et al. 2020, arXiv 2006.09882,
    eq. 6, which writes the sum of these terms; released as this mean). Two views give `swapped_prediction`.

    Args:
        scores: sequence of V >= 2 arrays (B, K), similarities of the views to the prototypes; large crops first.
        assigned: number of the first views that are assigned to prototypes, 1 to V.
        temperature: of the predictions, above 0.
        epsilon, iterations: of the assignments. With 0 iterations they are each row's own softmax(scores / epsilon),
            which all rows soon give to a few prototypes.
        present: V entries, (B,) bool or None.
        queues: for each assigned view (Q, K) scores of earlier samples, or None: they take part in evening out the
            assignments, as in the paper's small batches, and are predicted by nobody.
        queue_present: for each assigned view (Q,) bool, which of them do; or None: all.

    Returns:
        () float32; a term without a sample that has both views is 0.

    Raises:
        ValueError: if shapes, values or options do not fit.
    """
    check_above_0(temperature=temperature)
    check_not_negative(iterations=iterations)
    if len(scores) < 2 or not 1 <= assigned <= len(scores):
        raise ValueError(f"{assigned} of {len(scores)} views assigned: give two views or more, and 1 to that many")
    present = [None] * len(scores) if present is None else present
    views = [present_rows(z, p, f"present[{v}]") for v, (z, p) in enumerate(zip(scores, present, strict=True))]
    check_rows(**{f"scores[{v}]": z for v, (z, _) in enumerate(views)})
    queues = [None] * assigned if queues is None else queues
    queue_present = [None] * assigned if queue_present is None else queue_present
    log_p = [jax.nn.log_softmax(z.astype(jnp.float32) / temperature, axis=1) for z, _ in views]
    total = 0.0
    for a, queue, filled in zip(range(assigned), queues, queue_present, strict=True):
        z, there = views[a]
        counted = (z, there) if queue is None else _with_queue(z, there, queue, filled)
        q = jax.lax.stop_gradient(_assignments(*counted, epsilon, iterations))[: len(z)]
        for v in range(len(views)):
            if v != a:
                total += masked_mean(-jnp.sum(q * log_p[v], axis=1), there & views[v][1])
    return total / (assigned * (len(views) - 1))


def _assignments(z, there, epsilon, iterations):
    """(N, K) soft assignments of scores (N, K)."""
    if iterations:
        return sinkhorn(z, epsilon=epsilon, iterations=iterations, present=there)
    check_above_0(epsilon=epsilon)
    return jax.nn.softmax(z.astype(jnp.float32) / epsilon, axis=1)


def _with_queue(z, there, queue, queue_present):
    """Scores and presence of the batch, and then those of the queue."""
    z_queue, queue_there = present_rows(queue, queue_present, "queue_present")
    return jnp.concatenate([z, z_queue.astype(z.dtype)]), jnp.concatenate([there, queue_there])
