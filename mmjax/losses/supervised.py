"""SupCon: every row of two views is an anchor, and all other rows of both are its candidates."""

import jax
import jax.numpy as jnp

from mmjax.losses.checks import check_scale
from mmjax.losses.cross_entropy import mean_cross_entropy
from mmjax.losses.lean import choose_impl
from mmjax.losses.lean_softmax import Terms, lean_softmax
from mmjax.losses.logits import logits
from mmjax.losses.rows import Rows, both_present, paired_rows, same_key


def supervised_contrastive(x, y, scale, *, ids=None, x_present=None, y_present=None, impl="dense"):
    """SupCon over two views, mean over anchors.

    L = mean_a[-1/|P(a)| sum_{p in P(a)} log(exp(s z_a.z_p) / sum_{c != a} exp(s z_a.z_c))]

    over the 2 B rows z of both views; P(a) are the other rows of a's id (Khosla et al. 2020, arXiv 2004.11362, L_out,
    eq. 2). Without `ids` the only positive is the other view: NT-Xent (SimCLR, Chen et al. 2020, arXiv 2002.05709).
    The released code multiplies by temperature / base temperature, both 0.07 by default; this one does not.

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16.
        scale: () the factor of the similarities, 1/temperature.
        ids: (B,) int, equal for positives.
        x_present, y_present: (B,) bool; an absent row is no anchor, candidate or positive. The mean is over present
            rows with a positive.
        impl: "dense", "blockwise", "ring" or "auto", as for `softmax_contrastive`.

    Raises:
        ValueError: if shapes, values or the mesh do not fit; the message names the argument.
    """
    check_scale(scale)
    z = both_views(x, y, ids=ids, x_present=x_present, y_present=y_present)
    dtype = z.values["vector"].dtype

    def terms(a: Rows, c: Rows, params):
        candidates = both_present(a, c) & (a.facts["row"][:, None] != c.facts["row"][None, :])
        positives = (candidates & same_key(a, c)).astype(jnp.float32)
        return Terms(
            params["scale"] * logits(a.values["vector"], c.values["vector"], dtype), candidates, positives, None
        )

    rows = len(z.facts["row"])
    impl = choose_impl(impl, rows, rows)
    if impl == "dense":
        t = terms(z, z, {"scale": scale})
        return mean_cross_entropy(t.logits, t.to_y, t.keep)
    return lean_softmax(terms, z, z, {"scale": scale}, impl=impl, to_x=False)


def both_views(x, y, **options) -> Rows:
    """The rows of x and then those of y as one side, each with its number `row`."""
    if y.ndim != 2:
        raise ValueError(f"y {y.shape} must be (batch, width), the other view of x {x.shape}")
    z = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *paired_rows(x, y, **options))
    z.facts["row"] = jnp.arange(len(z.facts["key"]))
    return z
