"""Vectors pass through, or through hidden layers, and what is no vector is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from mmjax.encoders import Vector
from mmjax.errors import UserError


def test_vectors_pass_as_they_are():
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    assert jax.tree.leaves(Vector().init(jax.random.key(0), x)) == []
    features = Vector().apply({}, x, keys=jax.random.split(jax.random.key(1), 4))
    np.testing.assert_array_equal(features.pooled, x)
    assert features.tokens is None and features.mask is None
    half = Vector(dtype="bfloat16").apply({}, x.astype(jnp.bfloat16)).pooled
    assert half.dtype == jnp.float32


def test_hidden_layers_equal_numpy():
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    module = Vector(hidden=8, depth=2)
    params = module.init(jax.random.key(0), x)["params"]
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)

    def hidden(x, layer):
        x = x @ p[layer]["kernel"] + p[layer]["bias"]
        return 0.5 * x * (1 + erf(x / np.sqrt(2)))

    def norm(x):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)

    x1 = hidden(x, "stem")
    want = norm(x1 + hidden(norm(x1), "hidden_1"))
    got = module.apply({"params": params}, x).pooled
    assert got.shape == (4, 8) and got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_hidden_layers_that_cannot_be():
    with pytest.raises(UserError, match="Vector has depth 0"):
        Vector(hidden=8, depth=0)


@pytest.mark.parametrize("x", [np.zeros((4, 3), np.int32), np.zeros((4, 3, 2), np.float32)])
def test_other_arrays_are_refused(x):
    with pytest.raises(UserError, match="Vector cannot take"):
        Vector().apply({}, x)
