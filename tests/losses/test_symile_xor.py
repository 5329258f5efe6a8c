"""Symile's XOR experiment (arXiv 2411.01053): what no pair of modalities tells, all of them together do.

Affine encoders of each modality, unit norm, a learned log-scale that starts at -0.3, AdamW. Task: given all modalities
but one, pick that one among all vectors that it can be.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mmjax.data.sources.xor import xor_vectors
from mmjax.encoders.norms import unit_norm
from mmjax.losses import pairwise, softmax_contrastive, symile

WIDTH = 16


def encode(params, inputs):
    return [unit_norm(jnp.matmul(x, w) + b[None]) for x, (w, b) in zip(inputs, params["encoders"], strict=True)]


def fresh(modalities, dims, seed):
    """Normal weights, biases at zero.

    Not uniform biases of the weights' size, as torch starts: then a product of eight vectors hardly depends on all
    eight bits, and most runs stay where they start.
    """
    rng = np.random.default_rng(seed)
    kernels = rng.normal(size=(modalities, dims, WIDTH)) * dims**-0.5
    return {
        "encoders": [(jnp.asarray(w, jnp.float32), jnp.zeros(WIDTH)) for w in kernels],
        "log_scale": jnp.float32(-0.3),
    }


def symile_loss(params, inputs, key):
    return symile(encode(params, inputs), jnp.exp(params["log_scale"]), key=key)


def pairwise_loss(params, inputs, key):
    """The sum over all pairs of modalities of symmetric InfoNCE."""
    vectors = dict(enumerate(encode(params, inputs)))
    pairs = list(itertools.combinations(vectors, 2))
    return pairwise(vectors, pairs, softmax_contrastive, [jnp.exp(params["log_scale"])] * len(pairs))


def train(loss, modalities, dims, *, steps, batch, seed=0):
    """(params, losses of all steps)."""
    tx = optax.adamw(0.1, weight_decay=0.01)
    params = fresh(modalities, dims, seed)
    state, rng = tx.init(params), np.random.default_rng([seed, 1])
    data = [xor_vectors(rng, batch, modalities, dims, 1.0) for _ in range(steps)]

    def step(carry, given):
        params, state = carry
        value, gradients = jax.value_and_grad(loss)(params, *given)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integer counts with floats
            updates, state = tx.update(gradients, state, params)
        return (optax.apply_updates(params, updates), state), value

    inputs = [jnp.stack(m) for m in zip(*data, strict=True)]
    keys = jax.random.split(jax.random.key(seed), steps)
    (params, _), losses = jax.jit(lambda *carry: jax.lax.scan(step, carry, (inputs, keys)))(params, state)
    return params, np.asarray(losses)


def accuracy(params, modalities, dims, wanted, score):
    """Share of 5000 fresh samples whose `wanted` modality has the best score among all 2^dims vectors."""
    inputs = xor_vectors(np.random.default_rng(99), 5000, modalities, dims, 1.0)
    choices = np.array(list(itertools.product((0.0, 1.0), repeat=dims)), np.float32)
    vectors = encode(params, inputs)
    candidates = encode(params, [choices] * modalities)[wanted]
    best = jnp.argmax(score([v for m, v in enumerate(vectors) if m != wanted]) @ candidates.T, axis=1)
    return float(np.mean(np.all(choices[np.asarray(best)] == inputs[wanted], axis=1)))


def product(vectors):
    return jnp.prod(jnp.stack(vectors), axis=0)


def total(vectors):
    return jnp.sum(jnp.stack(vectors), axis=0)


def test_the_data_is_what_it_says():
    rng = np.random.default_rng(0)
    a, b, c = xor_vectors(rng, 4000, 3, 5, 1.0)
    assert a.shape == (4000, 5) and a.dtype == np.float32 and set(np.unique(a)) == {0.0, 1.0}
    np.testing.assert_array_equal(c, (a != b).astype(np.float32))
    for x, y in ((a, b), (a, c), (b, c)):  # pairs are independent: agreement is a fair coin; 0.02 is 5.6 deviations
        assert abs(np.mean(x == y) - 0.5) < 0.02
    a, b, c = xor_vectors(rng, 1000, 3, 5, 0.0)
    np.testing.assert_array_equal(a, c)
    a, b, c = xor_vectors(rng, 4000, 3, 5, 0.25)
    xor, copy = np.all(c == (a != b), axis=1), np.all(c == a, axis=1)
    assert np.all(xor | copy) and abs(np.mean(xor) - (0.25 + 0.75 / 32)) < 0.04
    eight = np.stack(xor_vectors(rng, 100, 8, 1, 1.0))
    np.testing.assert_array_equal(eight.sum(axis=0) % 2, 0)


@pytest.mark.parametrize("steps", [100, pytest.param(300, marks=pytest.mark.slow)])
def test_three_modalities(steps):
    """P(b | a) = P(b | c) = 2^-5, P(b | a, c) = 1. Chance is 1/32; without information the loss is 3 log(batch)."""
    nothing = 3 * np.log(500)
    params, losses = train(pairwise_loss, 3, 5, steps=steps, batch=500)
    reached = accuracy(params, 3, 5, 1, total)
    print(f"pairwise: loss {losses[-20:].mean():.4f} of {nothing:.4f}, accuracy {reached:.2%}")
    assert losses[-20:].mean() == pytest.approx(nothing, abs=0.02) and losses.min() > nothing - 0.05
    assert reached == pytest.approx(1 / 32, abs=0.02)
    params, losses = train(symile_loss, 3, 5, steps=steps, batch=500)
    reached = accuracy(params, 3, 5, 1, product)
    print(f"Symile: loss {losses[-20:].mean():.4f} of {np.log(500):.4f}, accuracy {reached:.2%}")
    assert reached >= 0.99


def test_eight_modalities():
    """Seven fair coins and their XOR: any seven of the eight are independent, and tell the eighth. Chance is 1/2."""
    nothing = 28 * np.log(64)
    params, losses = train(pairwise_loss, 8, 1, steps=60, batch=64)
    reached = accuracy(params, 8, 1, 0, total)
    print(f"pairwise: loss {losses[-20:].mean():.4f} of {nothing:.4f}, accuracy {reached:.2%}")
    assert losses[-20:].mean() == pytest.approx(nothing, abs=0.3) and losses.min() > nothing - 1
    assert reached == pytest.approx(1 / 2, abs=0.04)
    params, losses = train(symile_loss, 8, 1, steps=80, batch=256)
    reached = accuracy(params, 8, 1, 0, product)
    print(f"Symile: loss {losses[-20:].mean():.4f} of {np.log(256):.4f}, accuracy {reached:.2%}")
    assert reached >= 0.99
