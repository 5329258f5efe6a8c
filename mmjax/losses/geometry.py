"""How near positives lie, and how evenly the batch is spread over the sphere."""

import jax.numpy as jnp

from mmjax.losses.anchors import masked_logsumexp, over_anchors
from mmjax.losses.checks import check_above_0, check_rows
from mmjax.losses.logits import logits
from mmjax.losses.masked import masked_mean, present_pair, present_rows


def alignment(x, y, *, alpha=2, x_present=None, y_present=None):
    """Distance of positives: mean_i ||x_i - y_i||^alpha (Wang & Isola 2020, arXiv 2005.10242, section 4.1).

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16.
        alpha: exponent, above 0. Below 2 the gradient of a pair that coincides is taken as 0.
        x_present, y_present: (B,) bool; the mean is over pairs with both samples.

    Returns:
        () float32; 0 where no pair is complete.

    Raises:
        ValueError: if shapes do not match or `alpha` is not above 0.
    """
    check_above_0(alpha=alpha)
    x, y, x_present, y_present = present_pair(x, y, x_present, y_present)
    squared = jnp.sum(jnp.square(x.astype(jnp.float32) - y.astype(jnp.float32)), axis=1)
    apart = squared > 0
    distance = jnp.where(apart, jnp.where(apart, squared, 1.0) ** (alpha / 2), 0.0)
    return masked_mean(distance, x_present & y_present)


def uniformity(x, *, t=2, present=None, impl="dense"):
    """log of the mean over pairs i != j of exp(-t ||x_i - x_j||^2) (arXiv 2005.10242, section 4.1), in log space.

    Args:
        x: (B, D) rows of unit norm, float32 or bfloat16.
        t: width of the Gaussian potential, above 0.
        present: (B,) bool; pairs are of two present samples.
        impl: "dense": all (B, B) distances at once. "blockwise": those of a few hundred rows at a time.

    Returns:
        () float32, from 0 (all rows equal) down to -4t; 0 where there is no pair.

    Raises:
        ValueError: if shapes do not match, `t` is not above 0 or `impl` is unknown.
    """
    check_above_0(t=t)
    x, present = present_rows(x, present)
    check_rows(x=x)
    return _log_mean_potential(x, x, t, present, present, impl)


def cross_uniformity(x, y, *, t=2, x_present=None, y_present=None, impl="dense"):
    """log of the mean over pairs i != j of exp(-t ||x_i - y_j||^2), in log space.

    Between two modalities (Fahim et al. 2024, arXiv 2405.18570): matching pairs do not count, so that it does not
    pull against `alignment`.

    Args:
        x, y: (B, D) rows of unit norm, float32 or bfloat16.
        t: width of the Gaussian potential, above 0.
        x_present, y_present: (B,) bool; pairs are of two present samples, of different examples.
        impl: as for `uniformity`.

    Returns:
        () float32; 0 where there is no pair.

    Raises:
        ValueError: if shapes do not match, `t` is not above 0 or `impl` is unknown.
    """
    check_above_0(t=t)
    x, y, x_present, y_present = present_pair(x, y, x_present, y_present)
    return _log_mean_potential(x, y, t, x_present, y_present, impl)


def _log_mean_potential(x, y, t, x_present, y_present, impl):
    rows = jnp.arange(len(x))
    y_norms = _squared_norms(y)

    def log_sums(tile):
        """(t,) logs of the sums of potentials of a tile's rows with all others; squared distances by inner products."""
        squared = _squared_norms(tile["vector"])[:, None] + y_norms[None, :] - 2 * logits(tile["vector"], y)
        pairs = tile["present"][:, None] & y_present[None, :] & (tile["row"][:, None] != rows[None, :])
        return masked_logsumexp(-t * squared, pairs)

    sums = over_anchors(log_sums, {"vector": x, "present": x_present, "row": rows}, impl=impl)
    both = jnp.sum(x_present & y_present, dtype=jnp.float32)
    count = jnp.sum(x_present, dtype=jnp.float32) * jnp.sum(y_present, dtype=jnp.float32) - both
    total = masked_logsumexp(jnp.where(sums > -jnp.inf, sums, 0.0), sums > -jnp.inf, empty=0.0)
    return jnp.where(count > 0, total - jnp.log(jnp.maximum(count, 1)), 0.0)


def _squared_norms(rows):
    return jnp.sum(jnp.square(rows.astype(jnp.float32)), axis=1)
