"""Softmax loss whose targets are graded by how alike the examples are in a frozen modality."""

import jax
import jax.numpy as jnp

from mmjax.losses.checks import check_finite, check_scale
from mmjax.losses.cross_entropy import mean_cross_entropy
from mmjax.losses.lean import choose_impl
from mmjax.losses.lean_softmax import Terms, lean_softmax
from mmjax.losses.logits import logits
from mmjax.losses.masked import only_present
from mmjax.losses.rows import Rows, both_present, paired_rows, same_key


def weighted_contrastive(x, y, scale, *, features=None, sharpness=1.0, x_present=None, y_present=None, impl="dense"):
    """Continuously weighted contrastive loss, mean over anchors, half the sum of both directions.

    L = 1/2 mean_i[-1/W_i sum_j w_ij log softmax_j(s x_i.y_j)] + 1/2 mean_j[-log softmax_i(s x_i.y_j) at j]

    with w_ij = 1/2 + f_i.f_j / 2 and W_i their sum over j: anchors of the frozen modality x have graded positives,
    those in y their partner alone (CWCL, Srinivasa et al. 2023, arXiv 2309.14580). With w the identity it is
    `softmax_contrastive`. Where unlike examples have cosines about 0 the targets are nearly even; `sharpness`, which
    is not in the paper, raises w to a power.

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16; x is the modality whose tower is frozen.
        scale: () the factor of the similarities, 1/temperature.
        features: (B, F) unit rows f, differentiable; None: x itself, without a gradient through the weights.
        sharpness: power of the weights, above 0. Below 1 the gradient of a weight of 0 is taken as 0.
        x_present, y_present: (B,) bool; an absent row is no anchor, candidate or positive. The mean is over present
            anchors with a present positive.
        impl: "dense", "blockwise", "ring" or "auto", as for `softmax_contrastive`.

    Returns:
        () float32.

    Raises:
        ValueError: if shapes, values or the mesh do not fit; the message names the argument.
    """
    check_scale(scale)
    if y.ndim != 2:
        raise ValueError(f"y {y.shape} must be (batch, width), as x {x.shape}")
    if not sharpness > 0:
        raise ValueError(f"sharpness {sharpness} is a power of the weights: give a number above 0")
    x, y = paired_rows(x, y, x_present=x_present, y_present=y_present)
    _add_features(x, y, features)
    dtype = x.values["vector"].dtype

    def terms(x: Rows, y: Rows, params):
        z = params["scale"] * logits(x.values["vector"], y.values["vector"], dtype)
        present = both_present(x, y)
        alike = jnp.clip(0.5 + 0.5 * logits(x.values["features"], y.values["features"]), 0.0)
        graded = alike if sharpness == 1 else _power(alike, sharpness)
        partner = (present & same_key(x, y)).astype(jnp.float32)
        return Terms(z, present, jnp.where(present & y.facts["featured"][None, :], graded, 0.0), partner)

    params = {"scale": scale}
    impl = choose_impl(impl, len(x.facts["key"]), len(y.facts["key"]))
    if impl != "dense":
        return lean_softmax(terms, x, y, params, impl=impl)
    t = terms(x, y, params)
    to_y = mean_cross_entropy(t.logits, t.to_y, t.keep)
    return (to_y + mean_cross_entropy(t.logits.T, t.to_x.T, t.keep.T)) / 2


def _power(weights, exponent):
    """weights >= 0 to a power; no gradient at 0, where that of a power below 1 is infinite."""
    some = weights > 0
    return jnp.where(some, jnp.where(some, weights, 1.0) ** exponent, 0.0)


def _add_features(x: Rows, y: Rows, features) -> None:
    """Puts f beside the rows of both sides: w_ij is of example i's and example j's features."""
    if features is None:
        features = jax.lax.stop_gradient(x.values["vector"])
    elif features.ndim != 2 or len(features) != len(x.facts["key"]):
        raise ValueError(f"features {features.shape} must be ({len(x.facts['key'])}, F): a row for each of x")
    else:
        features = only_present(features, x.facts["present"])
        check_finite("features", features)
    features = features.astype(jnp.float32)
    x.values["features"] = y.values["features"] = features
    y.facts["featured"] = x.facts["present"]
