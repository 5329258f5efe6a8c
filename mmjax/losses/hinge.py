"""The hinge (triplet) loss of a batch, over the sum of the negatives or over the hardest."""

import jax
import jax.numpy as jnp

from mmjax.losses.anchors import over_anchors
from mmjax.losses.checks import check_choice, check_ids, check_not_negative
from mmjax.losses.logits import logits
from mmjax.losses.masked import masked_mean, present_pair

NEGATIVES = {"sum": jnp.sum, "hardest": jnp.max}
DIRECTIONS = {"both": ("x_to_y", "y_to_x"), "x_to_y": ("x_to_y",), "y_to_x": ("y_to_x",)}


def hinge_contrastive(
    x,
    y,
    *,
    margin=0.2,
    negatives="sum",
    direction="both",
    x_present=None,
    y_present=None,
    ids=None,
    impl="dense",
):
    """Every negative shall be less similar to its anchor than the anchor's own pair, by a margin.

    x to y: L = mean_i sum_{j negative} [margin - x_i.y_i + x_i.y_j]_+ (VSE), with max_j in place of sum_j for
    "hardest" (VSE++, Faghri et al. 2018, arXiv 1707.05612, section 3); y to x is the same with x and y exchanged, and
    "both" is the sum of the two, not half of it. The sum runs over negatives and the mean over anchors, as the paper
    has it; the released code sums over anchors too, so that its loss, and the step it takes, grow with the batch.

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16.
        margin: by how much the pair's cosine shall exceed a negative's; not below 0.
        negatives: "sum" over all negatives or only the "hardest" one.
        direction: whose rows are the anchors: "x_to_y", "y_to_x" or "both".
        x_present, y_present: (B,) bool; a missing sample is no anchor, positive or negative.
        ids: (B,) int; examples with equal ids are no negatives of each other. The positive of x_i stays y_i alone.
        impl: "dense": all (B, B) similarities at once. "blockwise": those of a few hundred anchors at a time.

    Returns:
        () float32; 0 where no pair is complete. An anchor without negatives adds 0.

    Raises:
        ValueError: if shapes do not match, `margin` is negative, or `negatives`, `direction` or `impl` is unknown.
    """
    check_choice("negatives", negatives, NEGATIVES)
    check_choice("direction", direction, DIRECTIONS)
    check_not_negative(margin=margin)
    x, y, x_present, y_present = present_pair(x, y, x_present, y_present)
    check_ids(ids, len(x))
    ids = jnp.arange(len(x)) if ids is None else ids
    own = jnp.sum(x.astype(jnp.float32) * y.astype(jnp.float32), axis=1)
    sides = {"x_to_y": (x, y, y_present), "y_to_x": (y, x, x_present)}

    def cost(anchors, candidates, there):
        def violations(tile):
            violation = jax.nn.relu(margin + logits(tile["vector"], candidates) - tile["own"][:, None])
            different = (tile["id"][:, None] != ids[None, :]) & there[None, :]
            return NEGATIVES[negatives](jnp.where(different, violation, 0.0), axis=1)

        costs = over_anchors(violations, {"vector": anchors, "own": own, "id": ids}, impl=impl)
        return masked_mean(costs, x_present & y_present)

    return sum(cost(*sides[way]) for way in DIRECTIONS[direction])
