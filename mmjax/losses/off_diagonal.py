"""Distillation of an older model's whole matching of a batch, not of its matches alone (Mod-X)."""

import jax
import jax.numpy as jnp

from mmjax.losses.anchors import BLOCK, over_anchors
from mmjax.losses.checks import check_choice, check_scale
from mmjax.losses.logits import logits
from mmjax.losses.masked import masked_log_softmax, masked_mean, present_pair

DIVERGENCES = ("new_old", "old_new")


def off_diagonal_distillation(
    x,
    y,
    old_x,
    old_y,
    scale,
    *,
    old_scale=None,
    selective=True,
    divergence="new_old",
    x_present=None,
    y_present=None,
    impl="dense",
    block=BLOCK,
):
    """Divergence between the new and the old model's rows of the contrastive matrix, mean over anchors in x.

    L = mean_i KL(p_i || q_i),  p_i = softmax_j(s x_i.y_j),  q_i = softmax_j(s' x'_i.y'_j)

    of the new model x, y and the old x', y' (Mod-X, Ni et al. 2023, arXiv 2305.07437, section 4). Rows in which the old
    model does not find the anchor's partner are replaced by the new model's own, and so give 0. No gradient reaches the
    old model. 0 where both agree.

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16: the new model's.
        old_x, old_y: (B, E) the old model's rows of the same examples.
        scale: () the factor of the new model's similarities, 1/temperature.
        old_scale: () that of the old model's; None: `scale`, without a gradient.
        selective: whether rows are replaced; False: all of the old matrix counts.
        divergence: "new_old": KL(p || q), the paper's; "old_new": KL(q || p).
        x_present, y_present: (B,) bool; a missing sample is no anchor and no candidate; an anchor needs its partner.
        impl: "dense": all (B, B) similarities at once. "blockwise": those of `block` anchors at a time.
        block: anchors of a tile.

    Returns:
        () float32; 0 where no pair is present.

    Raises:
        ValueError: if shapes or values do not fit; the message names the argument.
    """
    check_choice("divergence", divergence, DIVERGENCES)
    check_scale(scale)
    present = {"x_present": x_present, "y_present": y_present}
    x, y, x_present, y_present = present_pair(x, y, **present)
    old_x, old_y, *_ = jax.lax.stop_gradient(present_pair(old_x, old_y, **present))
    if len(old_x) != len(x):
        raise ValueError(f"old_x {old_x.shape} must have a row for each of x {x.shape}: the same examples")
    old_scale = jax.lax.stop_gradient(scale if old_scale is None else old_scale)

    def per_anchor(tile):
        pairs = tile["present"][:, None] & y_present[None, :]
        before = jnp.where(pairs, old_scale * logits(tile["old"], old_y), -jnp.inf)
        log_q = masked_log_softmax(before, pairs)
        log_p = masked_log_softmax(scale * logits(tile["new"], y), pairs)
        first, second = (log_p, log_q) if divergence == "new_old" else (log_q, log_p)
        terms = jnp.sum(jnp.where(pairs, jnp.exp(first) * (first - second), 0.0), axis=1)
        found = jnp.argmax(before, axis=1) == tile["number"]
        return jnp.where(found, terms, 0.0) if selective else terms

    rows = {"new": x, "old": old_x, "present": x_present & y_present, "number": jnp.arange(len(x))}
    return masked_mean(over_anchors(per_anchor, rows, impl=impl, block=block), rows["present"])
