"""The pixel MLP against plain numpy, its dropout by example, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from mmjax.encoders import PixelMLP
from mmjax.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)


def made(**options):
    module = PixelMLP(**({"image_size": 8, "shrink": 2, "width": 16, "depth": 3} | options))
    return module, module.init(jax.random.key(1), IMAGES)["params"]


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def layer_norm(x, p):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * p["scale"] + p["bias"]


def test_equals_numpy():
    module, params = made()
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    x = (IMAGES / 255 - 0.5) / 0.5
    x = np.stack([x[:, i : i + 2, j : j + 2].mean((1, 2)) for i in range(0, 8, 2) for j in range(0, 8, 2)], 1)
    x = gelu(x.reshape(3, -1) @ p["stem"]["kernel"] + p["stem"]["bias"])
    for i in (1, 2):
        hidden = p[f"hidden_{i}"]
        x = x + gelu(layer_norm(x, p[f"norm_{i}"]) @ hidden["kernel"] + hidden["bias"])
    got = module.apply({"params": params}, IMAGES)
    assert got.tokens is None and got.pooled.dtype == jnp.float32
    np.testing.assert_allclose(got.pooled, layer_norm(x, p["norm"]), rtol=1e-4, atol=1e-5)


def test_dropout_follows_the_example():
    module, params = made(dropout=0.5)
    keys = jax.random.split(jax.random.key(2), 3)
    whole = module.apply({"params": params}, IMAGES, keys=keys).pooled
    order = np.array([2, 0, 1])
    np.testing.assert_allclose(
        module.apply({"params": params}, IMAGES[order], keys=keys[order]).pooled, whole[order], rtol=1e-5, atol=1e-5
    )
    assert np.abs(whole - module.apply({"params": params}, IMAGES).pooled).max() > 0.1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shrink": 3}, "not a multiple of shrink 3"),
        ({"depth": 0}, "depth 0"),
        ({"act": "swiglu"}, "cannot be 'swiglu'"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_options_that_cannot_be(options, said):
    with pytest.raises(UserError, match=said):
        made(**options)


def test_other_sizes_are_refused():
    module, params = made()
    with pytest.raises(UserError, match=r"cannot take images of shape \(2, 4, 4, 3\)"):
        module.apply({"params": params}, np.zeros((2, 4, 4, 3), np.uint8))
