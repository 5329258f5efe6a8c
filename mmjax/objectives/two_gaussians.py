"""A mixture of two Gaussians on one number an example, which parts what fits from what does not."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

# Least variance, so that a component of equal values stays a density.
LEAST = 1e-6


class TwoGaussians(NamedTuple):
    """Weight, mean and variance, (2,) each, of the component of low values and of that of high ones."""

    weight: jax.Array
    mean: jax.Array
    variance: jax.Array


def started(values, valid) -> TwoGaussians:
    """A component at the least and one at the greatest of the `valid` values (N,), both as wide as all."""
    count = jnp.maximum(jnp.sum(valid, dtype=jnp.float32), 1.0)
    mean = jnp.sum(jnp.where(valid, values, 0.0)) / count
    variance = jnp.sum(jnp.where(valid, jnp.square(values - mean), 0.0)) / count
    low, high = jnp.min(jnp.where(valid, values, jnp.inf)), jnp.max(jnp.where(valid, values, -jnp.inf))
    ends = jnp.where(jnp.any(valid), jnp.stack([low, high]), 0.0)
    return TwoGaussians(jnp.full(2, 0.5), ends, jnp.broadcast_to(jnp.maximum(variance, LEAST), (2,)))


def log_joint(mixture: TwoGaussians, values):
    """(N, 2) log of weight times density, without the constant."""
    squared = jnp.square(values[:, None] - mixture.mean[None, :]) / mixture.variance[None, :]
    return (jnp.log(mixture.weight) - jnp.log(mixture.variance) / 2)[None, :] - squared / 2


def low_probability(mixture: TwoGaussians, values):
    """(N,) the probability that a value is of the low component."""
    return jax.nn.softmax(log_joint(mixture, values), axis=1)[:, 0]


def improved(mixture: TwoGaussians, values, valid) -> TwoGaussians:
    """The mixture after one step of expectation maximisation on the `valid` values (N,); itself where there is none."""
    shares = jnp.where(valid[:, None], jax.nn.softmax(log_joint(mixture, values), axis=1), 0.0)
    total = jnp.maximum(jnp.sum(shares, axis=0), 1e-6)
    mean = jnp.sum(shares * values[:, None], axis=0) / total
    variance = jnp.sum(shares * jnp.square(values[:, None] - mean[None, :]), axis=0) / total
    new = TwoGaussians(total / jnp.sum(total), mean, jnp.maximum(variance, LEAST))
    order = jnp.argsort(new.mean)
    return jax.tree.map(lambda a, b: jnp.where(jnp.any(valid), a[order], b), new, mixture)
