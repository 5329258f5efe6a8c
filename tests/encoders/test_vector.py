"""Vectors pass through, and what is no vector is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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


@pytest.mark.parametrize("x", [np.zeros((4, 3), np.int32), np.zeros((4, 3, 2), np.float32)])
def test_other_arrays_are_refused(x):
    with pytest.raises(UserError, match="Vector cannot take"):
        Vector().apply({}, x)
