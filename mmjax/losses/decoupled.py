"""Contrastive loss whose denominator leaves the positive out."""

import jax
import jax.numpy as jnp

from mmjax.losses.checks import check_scale
from mmjax.losses.lean import choose_impl
from mmjax.losses.lean_softmax import Terms, lean_softmax
from mmjax.losses.logits import logits
from mmjax.losses.masked import masked_mean
from mmjax.losses.rows import Rows, both_present, paired_rows, same_key
from mmjax.losses.supervised import both_views


def decoupled_contrastive(x, y, scale, *, within=True, x_present=None, y_present=None, impl="dense"):
    """Contrastive loss without the positive in its denominators, mean over the anchors of both views.

    L = mean_a[-s z_a.z_a' + log sum_{c of other examples} exp(s z_a.z_c)]

    over the rows z of both views, a' being a's other view (DCL, Yeh et al. 2022, arXiv 2110.06848, eq. 6). It may be
    negative.

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16.
        scale: () the factor of the similarities, 1/temperature.
        within: whether rows of the anchor's own view are candidates too, as in the paper; False: only those of the
            other view, for two modalities, and half the sum of both views' means.
        x_present, y_present: (B,) bool; an absent row is no anchor or candidate. The mean is over present rows whose
            other view is present and which have a candidate.
        impl: "dense", "blockwise", "ring" or "auto", as for `softmax_contrastive`.

    Returns:
        () float32.

    Raises:
        ValueError: if shapes, values or the mesh do not fit; the message names the argument.
    """
    check_scale(scale)
    present = {"x_present": x_present, "y_present": y_present}
    if within:
        anchors = candidates = both_views(x, y, **present)
    else:
        anchors, candidates = paired_rows(x, y, **present)
    dtype = x.dtype

    def terms(a: Rows, c: Rows, params):
        z = params["scale"] * logits(a.values["vector"], c.values["vector"], dtype)
        same, present = same_key(a, c), both_present(a, c)
        other_view = a.facts["row"][:, None] != c.facts["row"][None, :] if within else True
        positives = (same & present & other_view).astype(jnp.float32)
        return Terms(z, present & ~same, positives, None if within else positives)

    impl = choose_impl(impl, len(anchors.facts["key"]), len(candidates.facts["key"]))
    if impl != "dense":
        return lean_softmax(terms, anchors, candidates, {"scale": scale}, impl=impl, to_x=not within)
    t = terms(anchors, candidates, {"scale": scale})
    if within:
        return _mean_over_anchors(t.logits, t.keep, t.to_y)
    return (_mean_over_anchors(t.logits, t.keep, t.to_y) + _mean_over_anchors(t.logits.T, t.keep.T, t.to_x.T)) / 2


def _mean_over_anchors(z, negatives, positives):
    valid = jnp.any(negatives, axis=1) & jnp.any(positives > 0, axis=1)
    # A row without negatives keeps them all, so that the logarithm is finite; the row itself is left out.
    rest = jax.nn.logsumexp(jnp.where(negatives | ~valid[:, None], z, -jnp.inf), axis=1)
    return masked_mean(rest - jnp.sum(positives * z, axis=1), valid)
