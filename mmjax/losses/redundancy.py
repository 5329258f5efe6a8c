"""Losses on the statistics of two views' projections over the global batch: no negatives, no collapse."""

import jax
import jax.numpy as jnp

from mmjax.losses.checks import check_above_0, check_not_negative
from mmjax.losses.logits import logits
from mmjax.losses.masked import masked_mean, present_pair


def barlow_twins(x, y, *, weight=5e-3, eps=1e-5, x_present=None, y_present=None):
    """Cross-correlation of two views' projections shall be the identity; sum over its entries.

    L = sum_d (1 - C_dd)^2 + weight sum_{d != e} C_de^2, C = correlation over the batch of x's dimension d with y's
    dimension e (Zbontar et al. 2021, arXiv 2103.03230, eq. 1 and 2). The paper's weight; the released code has 0.0051,
    and statistics of each device's rows where these are of the global batch.

    Args:
        x, y: (B, D) projections, not normalised, float32 or bfloat16.
        weight: lambda of the redundancy term.
        eps: added to the variances, as the released code's batch norm does; keeps a constant dimension finite.
        x_present, y_present: (B,) bool; the statistics are of samples present in both views.

    Returns:
        () float32; 0 where fewer than two samples have both views.

    Raises:
        ValueError: if shapes do not match, `weight` is negative or `eps` is not above 0.
    """
    check_not_negative(weight=weight)
    check_above_0(eps=eps)
    x, y, both = _complete_rows(x, y, x_present, y_present)
    standard = [_centred(z, both).T / jnp.sqrt(_variances(z, both, less=0) + eps)[:, None] for z in (x, y)]
    correlation = logits(*standard) / _count(both)
    agreement = jnp.sum(jnp.square(1 - jnp.diagonal(correlation)))
    return jnp.where(jnp.sum(both) > 1, agreement + weight * _off_diagonal_squares(correlation), 0.0)


def vicreg(x, y, *, invariance=25, variance=25, covariance=1, gamma=1, eps=1e-4, x_present=None, y_present=None):
    """Two views' projections shall agree, vary in every dimension, and not repeat one dimension in another.

    L = invariance mean_{i,d} (x_id - y_id)^2
      + variance 1/2 [v(x) + v(y)],  v(z) = mean_d max(0, gamma - sqrt(Var_d + eps))
      + covariance [c(x) + c(y)],    c(z) = 1/D sum_{d != e} Cov_de^2
    (Bardes et al. 2022, arXiv 2105.04906, section 4.1), variances and covariances divided by n - 1. The terms are those
    of the released code, for which the weights 25, 25, 1 were found: eq. 5 and 6 write the squares summed over d, not
    averaged, and the two v's summed, not halved. Statistics are of the global batch.

    Args:
        x, y: (B, D) projections, not normalised, float32 or bfloat16.
        invariance, variance, covariance: weights of the three terms, 0 or more.
        gamma: the standard deviation below which a dimension is pushed apart.
        eps: added to the variances; keeps the square root's slope finite.
        x_present, y_present: (B,) bool; the statistics are of samples present in both views.

    Returns:
        () float32; of fewer than two samples with both views there is no variance, and only the first term counts.

    Raises:
        ValueError: if shapes do not match, a weight is negative or `eps` is not above 0.
    """
    check_not_negative(invariance=invariance, variance=variance, covariance=covariance)
    check_above_0(eps=eps)
    x, y, both = _complete_rows(x, y, x_present, y_present)
    distance = masked_mean(jnp.mean(jnp.square(x - y), axis=1), both)
    spread = sum(jnp.mean(jax.nn.relu(gamma - jnp.sqrt(_variances(z, both) + eps))) for z in (x, y)) / 2
    repeated = sum(_off_diagonal_squares(_covariances(z, both)) for z in (x, y)) / x.shape[1]
    statistics = jnp.where(jnp.sum(both) > 1, variance * spread + covariance * repeated, 0.0)
    return invariance * distance + statistics


def _complete_rows(x, y, x_present, y_present):
    """Float32 x and y, zero in rows where either view is missing, and (B,) bool where neither is."""
    x, y, x_present, y_present = present_pair(x, y, x_present, y_present)
    both = x_present & y_present
    return *(jnp.where(both[:, None], rows.astype(jnp.float32), 0.0) for rows in (x, y)), both


def _centred(rows, valid):
    """Rows less the mean of the valid ones; zero where not valid."""
    mean = jnp.sum(rows, axis=0, keepdims=True, where=valid[:, None]) / _count(valid)
    return jnp.where(valid[:, None], rows - mean, 0.0)


def _variances(rows, valid, *, less=1):
    """(D,) variances of the n valid rows: sums of squares divided by n - `less`."""
    return jnp.sum(jnp.square(_centred(rows, valid)), axis=0) / _count(valid, less)


def _covariances(rows, valid):
    """(D, D) unbiased covariances of the valid rows."""
    centred = _centred(rows, valid).T
    return logits(centred, centred) / _count(valid, 1)


def _off_diagonal_squares(matrix):
    return jnp.sum(jnp.square(matrix), where=~jnp.eye(len(matrix), dtype=bool))


def _count(valid, less: int = 0):
    """() float32 number of valid rows, less so many, and 1 at least: a divisor."""
    return jnp.maximum(jnp.sum(valid, dtype=jnp.float32) - less, 1)
