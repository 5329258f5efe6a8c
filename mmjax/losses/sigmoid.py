"""The sigmoid contrastive loss: every pair judged by itself."""

import functools

import jax
import jax.numpy as jnp

from mmjax.losses.checks import check_scale
from mmjax.losses.lean import choose_impl, lean_sum
from mmjax.losses.logits import logits
from mmjax.losses.rows import Rows, anchor_count, both_present, paired_rows, same_key


def sigmoid_contrastive(x, y, scale, bias, *, ids=None, x_present=None, y_present=None, impl="dense"):
    """Every pair judged by itself, matching or not: sum over all pairs / number of anchors in x.

    L = -(1/B) sum_ij log sigmoid(z_ij (s x_i.y_j + b)), z_ij = 1 for positives and -1 otherwise
    (SigLIP, Zhai et al. 2023, arXiv 2303.15343, eq. 1).

    Args:
        x: (B, D) rows of unit norm, float32 or bfloat16.
        y: (B, D), or (B, K, D) with K positives for each row of x.
        scale: () the factor of the similarities; not its logarithm.
        bias: () added to the scaled similarities.
        ids: (B,) int; pairs with equal ids are positives. None: only x_i with y_i.
        x_present, y_present: (B,) bool, (B, K) for K positives; pairs with an absent row do not count, and B is the
            number of anchors: rows of x that are present and have a present positive.
        impl: "dense", "blockwise", "ring" or "auto", as for `softmax_contrastive`.

    Returns:
        () float32; 0 if there is no anchor.

    Raises:
        ValueError: if shapes, values or the mesh do not fit; the message names the argument.
    """
    check_scale(scale)
    if jnp.ndim(bias) != 0:
        raise ValueError(f"bias has shape {jnp.shape(bias)}: give one number, added to the scaled similarities")
    x, y = paired_rows(x, y, ids=ids, x_present=x_present, y_present=y_present)
    impl = choose_impl(impl, len(x.facts["key"]), len(y.facts["key"]))
    tile = functools.partial(_sum_over_pairs, dtype=x.values["vector"].dtype)
    params = {"scale": scale, "bias": bias}
    total = tile(x, y, params) if impl == "dense" else lean_sum(tile, x, y, params, impl=impl)
    anchors = anchor_count(x, y, partners=ids is None)
    return jnp.where(anchors > 0, total / jnp.maximum(anchors, 1.0), 0.0)


def _sum_over_pairs(x: Rows, y: Rows, params, *, dtype):
    z = params["scale"] * logits(x.values["vector"], y.values["vector"], dtype) + params["bias"]
    losses = jax.nn.softplus(jnp.where(same_key(x, y), -z, z))
    return jnp.sum(jnp.where(both_present(x, y), losses, 0.0))
