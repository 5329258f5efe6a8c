"""Prototypes of a teacher's clusters as classes for a student's rows: ProtoCLIP."""

import jax
import jax.numpy as jnp

from mmjax.losses.anchors import over_anchors
from mmjax.losses.checks import check_ids, check_not_negative, check_rows, check_scale
from mmjax.losses.cross_entropy import mean_cross_entropy
from mmjax.losses.lean import choose_impl
from mmjax.losses.lean_softmax import Terms, lean_softmax
from mmjax.losses.logits import logits
from mmjax.losses.masked import present_rows
from mmjax.losses.rows import Rows


def prototypical(
    x, prototypes, teacher, labels, scale, *, teacher_temperature=0.01, kept=None, x_present=None, impl="dense"
):
    """Cross-entropy of the student's rows against prototypes, its targets the likeness of the teacher's centroids.

    L = mean_i[-sum_k t_ik log softmax_k(s x_i . p_k)], t_i = softmax_k(c_l(i) . c_k / tau), l(i) the cluster of row i
    (ProtoCLIP, Chen et al. 2022, arXiv 2206.10996). With tau = 0 the target is l(i) alone. p_k are the teacher's
    centroids c_k themselves, or, by back translation, the student's means over the teacher's clusters
    (`mmjax.losses.clusters.cluster_means`); then the loss is the same under every rotation of the teacher's space, with
    tau = 0 under every isometry.

    Args:
        x: (B, D) rows of unit norm, float32 or bfloat16.
        prototypes: (K, D) in the same space; they need not be of unit norm.
        teacher: (K, T) the teacher's centroids.
        labels: (B,) int, cluster of each row; -1: none, such a row is no anchor.
        scale: () the factor of the similarities, 1/temperature.
        teacher_temperature: tau, 0 or more.
        kept: (K,) bool, the prototypes that have members; the others are no candidates.
        x_present: (B,) bool.
        impl: "dense", "blockwise", "ring" or "auto", as for `softmax_contrastive`.

    Returns:
        () float32; 0 if there is no anchor.

    Raises:
        ValueError: if shapes, values or the mesh do not fit.
    """
    check_scale(scale)
    check_not_negative(teacher_temperature=teacher_temperature)
    x, x_present = present_rows(x, x_present, "x_present")
    check_rows(x=x)
    check_ids(labels, len(x))
    count = len(prototypes)
    if prototypes.ndim != 2 or prototypes.shape[1] != x.shape[1] or teacher.ndim != 2 or len(teacher) != count:
        raise ValueError(
            f"prototypes {prototypes.shape} must be (K, {x.shape[1]}) like x {x.shape}, teacher {teacher.shape} (K, T)"
        )
    impl = choose_impl(impl, len(x), count)
    teacher = jax.lax.stop_gradient(teacher).astype(jnp.float32)
    kept = jnp.ones((count,), bool) if kept is None else kept
    there = x_present & (labels >= 0)
    cluster = jnp.where(there, labels, 0)
    likeness = teacher[cluster]
    anchors = Rows({"vector": x}, {"present": there, "cluster": cluster, "likeness": likeness})
    classes = Rows(
        {"vector": prototypes.astype(x.dtype)}, {"present": kept, "number": jnp.arange(count), "teacher": teacher}
    )
    if teacher_temperature:
        anchors.facts["top"] = _top(likeness, teacher, kept)

    def terms(x: Rows, y: Rows, params):
        z = params["scale"] * logits(x.values["vector"], y.values["vector"], classes.values["vector"].dtype)
        keep = x.facts["present"][:, None] & y.facts["present"][None, :]
        if teacher_temperature:
            likeness = logits(x.facts["likeness"], y.facts["teacher"])
            target = jnp.exp(jnp.minimum(likeness - x.facts["top"][:, None], 0.0) / teacher_temperature)
        else:
            target = (x.facts["cluster"][:, None] == y.facts["number"][None, :]).astype(jnp.float32)
        return Terms(z, keep, jnp.where(keep, target, 0.0), None)

    if impl == "dense":
        t = terms(anchors, classes, {"scale": scale})
        return mean_cross_entropy(t.logits, t.to_y, t.keep)
    return lean_softmax(terms, anchors, classes, {"scale": scale}, impl=impl, to_x=False)


def _top(likeness, teacher, kept):
    """(B,) the greatest inner product of each row (B, T) with the centroids that are kept, a tile of rows at a time."""
    greatest = lambda rows: jnp.max(jnp.where(kept[None, :], logits(rows, teacher), -1e30), axis=1)  # noqa: E731
    return over_anchors(greatest, likeness, impl="blockwise")
