"""Triplet loss of every anchor with a caption and a margin of its own, for pairs that may be wrong."""

import jax.numpy as jnp

from mmjax.losses.anchors import BLOCK, aligned, over_anchors
from mmjax.losses.checks import check_vector
from mmjax.losses.logits import logits


def noisy_hinge(
    x, y, *, captions=None, margins=0.2, hardest=True, x_present=None, y_present=None, impl="dense", block=BLOCK
):
    """Each anchor's hinge loss, both ways, for the caption that it is given.

    l_i = max_k [m_i + x_i.y_k - x_i.y_c]_+ + max_k [m_i + x_k.y_c - x_i.y_c]_+,  c = captions_i, k other than i and c,

    or the means over k instead of the largest (the loss of clean and of pseudo-captioned pairs in PC2, Duan et al.
    2024, arXiv 2408.01349, after NCR; with own captions and one margin the triplet loss of VSE++).

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16.
        captions: (B,) int, the row of y that is each anchor's caption; None: its own.
        margins: (B,) or a number, m.
        hardest: whether the hardest negative counts, or the mean over all.
        x_present, y_present: (B,) bool; absent rows are no anchor, caption or negative.
        impl: "dense", all similarities at once; "blockwise", those of `block` anchors at a time.
        block: anchors of a tile.

    Returns:
        (B,) float32; 0 for anchors without caption or negative.

    Raises:
        ValueError: if shapes or values do not fit; the message names the argument.
    """
    (x, y), (x_there, y_there) = aligned([x, y], [x_present, y_present], names=["x", "y"])
    numbers = jnp.arange(len(x))
    captions = numbers if captions is None else captions
    check_vector("captions", captions, len(x))
    margins = jnp.broadcast_to(jnp.asarray(margins, jnp.float32), (len(x),))

    def per_anchor(tile):
        own = jnp.sum(tile["x"].astype(jnp.float32) * tile["caption"].astype(jnp.float32), axis=1, keepdims=True)
        apart = (numbers[None, :] != tile["number"][:, None]) & (numbers[None, :] != tile["captions"][:, None])
        total = 0.0
        for anchors, candidates, there in ((tile["x"], y, y_there), (tile["caption"], x, x_there)):
            negative = apart & there[None, :]
            costs = jnp.maximum(tile["margin"][:, None] + logits(anchors, candidates) - own, 0.0)
            costs = jnp.where(negative, costs, 0.0)
            count = jnp.maximum(jnp.sum(negative, axis=1, dtype=jnp.float32), 1.0)
            total += jnp.max(costs, axis=1) if hardest else jnp.sum(costs, axis=1) / count
        return jnp.where(tile["valid"], total, 0.0)

    rows = {"x": x, "caption": y[captions], "number": numbers, "captions": captions, "margin": margins}
    rows["valid"] = x_there & y_there[captions]
    return over_anchors(per_anchor, rows, impl=impl, block=block)
