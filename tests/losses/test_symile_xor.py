"""Symile's XOR experiment (arXiv 2411.01053, section 4.1): what no pair of modalities tells, all of them together do.

Affine encoders of each modality, unit norm, a learned log-scale that starts at -0.3, AdamW. Task: given all modalities
but one, pick that one among all vectors that it can be.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mmjax.data.xor import xor_vectors
from mmjax.losses import pairwise, softmax_contrastive, symile
from mmjax.model import unit_norm

WIDTH, BATCH = 16, 500


def encode(params, inputs):
    return [unit_norm(jnp.matmul(x, w) + b[None]) for x, (w, b) in zip(inputs, params["encoders"], strict=True)]


def fresh(modalities, dims, pairs, seed=0):
    """As torch's linear layers start: uniform within 1/sqrt(inputs)."""
    rng, bound = np.random.default_rng(seed), dims**-0.5
    encoders = [
        tuple(jnp.asarray(rng.uniform(-bound, bound, shape), jnp.float32) for shape in ((dims, WIDTH), (WIDTH,)))
        for _ in range(modalities)
    ]
    return {"encoders": encoders, "log_scale": jnp.full((pairs,), -0.3)}


def symile_loss(params, inputs, key):
    return symile(encode(params, inputs), jnp.exp(params["log_scale"][0]), key=key)


def pairwise_loss(params, inputs, key):
    """The sum over all pairs of modalities of symmetric InfoNCE."""
    vectors = dict(enumerate(encode(params, inputs)))
    pairs = list(itertools.combinations(vectors, 2))
    scales = jnp.exp(params["log_scale"])
    return pairwise(vectors, pairs, softmax_contrastive, jnp.broadcast_to(scales, (len(pairs),)))


def train(loss, modalities, dims, steps, *, p=1.0, batch=BATCH, learning_rate=0.1, seed=0):
    """(params, losses of all steps)."""
    tx = optax.adamw(learning_rate, weight_decay=0.01)
    params = fresh(modalities, dims, 1, seed)
    state, rng = tx.init(params), np.random.default_rng([seed, 1])
    data = [xor_vectors(rng, batch, modalities, dims, p) for _ in range(steps)]

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


def accuracy(params, modalities, dims, wanted, score, p=1.0, rows=5000):
    """Share of fresh samples whose `wanted` modality has the best score among all 2^dims vectors."""
    inputs = xor_vectors(np.random.default_rng(99), rows, modalities, dims, p)
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


def test_three_modalities():
    """P(b | a) = P(b | c) = 2^-5, P(b | a, c) = 1."""
    params, losses = train(pairwise_loss, 3, 5, 300)
    print("pairwise", losses[-50:].mean(), "of", 3 * np.log(BATCH), accuracy(params, 3, 5, 1, total))
    assert losses[-50:].mean() == pytest.approx(3 * np.log(BATCH), abs=0.03)
    assert losses.min() > 3 * np.log(BATCH) - 0.05
    assert accuracy(params, 3, 5, 1, total) == pytest.approx(1 / 32, abs=0.02)
    params, losses = train(symile_loss, 3, 5, 300)
    print("symile", losses[-50:].mean(), accuracy(params, 3, 5, 1, product))
    assert accuracy(params, 3, 5, 1, product) >= 0.99
    assert losses[-50:].mean() < np.log(BATCH) - 2


def test_eight_modalities():
    """Seven fair coins and their XOR: any seven of the eight are independent, and tell the eighth."""
    pairs = 8 * 7 // 2
    params, losses = train(pairwise_loss, 8, 1, 150)
    print("pairwise", losses[-50:].mean(), "of", pairs * np.log(BATCH), accuracy(params, 8, 1, 0, total))
    assert losses[-50:].mean() == pytest.approx(pairs * np.log(BATCH), abs=0.3)
    assert accuracy(params, 8, 1, 0, total) == pytest.approx(0.5, abs=0.05)
    params, losses = train(symile_loss, 8, 1, 500, batch=1000)
    print("symile", losses[-50:].mean(), accuracy(params, 8, 1, 0, product))
    assert accuracy(params, 8, 1, 0, product) >= 0.99
