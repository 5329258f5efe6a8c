"""Losses between a prediction and a target that takes no gradient: no negatives; the predictor prevents collapse."""

import jax
import jax.numpy as jnp

from mmjax.losses.checks import check_rows
from mmjax.losses.masked import masked_mean, present_rows

# A row shorter than this counts as this long: a row of zeros has cosine 0 with every other.
SHORTEST = 1e-8


def byol(prediction, target, *, present=None):
    """Squared distance of the normalised prediction and target, mean over the batch: mean_i 2 - 2 cos(q_i, sg(z_i)).

    (BYOL, Grill et al. 2020, arXiv 2006.07733, eq. 2.) One direction; the paper adds the same with views exchanged.

    Args:
        prediction: (B, D) the predictor's output, not normalised, float32 or bfloat16.
        target: (B, D) the target network's projection of the other view; takes no gradient.
        present: (B,) bool, True where both views are there.

    Returns:
        () float32, 0 to 4; 0 where none is present.

    Raises:
        ValueError: if shapes do not match.
    """
    (prediction, target), present = _complete_rows(present, prediction=prediction, target=target)
    return masked_mean(2 - 2 * _cosine_to_fixed(prediction, target), present)


def _complete_rows(present, **rows):
    """The named rows (B, D), checked, with absent ones zero, and their common presence (B,)."""
    masked = {name: present_rows(array, present) for name, array in rows.items()}
    check_rows(**{name: array for name, (array, _) in masked.items()})
    arrays, presences = zip(*masked.values(), strict=True)
    return arrays, presences[0]


def _cosine_to_fixed(prediction, target):
    """(B,) float32 cosines of rows; only `prediction` takes a gradient."""
    return jnp.sum(_unit(prediction) * jax.lax.stop_gradient(_unit(target)), axis=1)


def _unit(rows):
    rows = rows.astype(jnp.float32)
    squared = jnp.sum(jnp.square(rows), axis=1, keepdims=True)
    return rows * jax.lax.rsqrt(jnp.maximum(squared, SHORTEST**2))
