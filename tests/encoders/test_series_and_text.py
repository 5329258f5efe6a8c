"""Encoders of series, bytes and vectors, and the recurrent one, against numpy and torch."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import numpy_transformer as ref
import pytest
from encoder_cases import features, params_of, pooled
from further_cases import ENCODERS, example_input

from mmjax.encoders import Characters, EmbeddingMLP, SeriesConv, SeriesTransformer, size
from mmjax.encoders.conv import Conv1d
from mmjax.encoders.recurrent import gru
from mmjax.errors import UserError

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def count(encoder, x):
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), x)["params"]
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def block_count(width, depth):
    return depth * (12 * width**2 + 13 * width)


def test_counts():
    series = SeriesTransformer(**size("series", "S"), length=512, patch_size=16, stride=8)
    found = count(series, jax.ShapeDtypeStruct((1, 512, 6), jnp.float32))
    assert found == (16 * 6 + 1) * 384 + 384 + 64 * 384 + block_count(384, 12) + 2 * 384
    characters = Characters(**size("characters", "S"), vocab_size=259, context=256, stride=4)
    found = count(characters, jax.ShapeDtypeStruct((1, 256), jnp.int32))
    assert found == 259 * 384 + (8 * 384 + 1) * 384 + 384 + 64 * 384 + block_count(384, 12) + 2 * 384
    conv = SeriesConv(width=32, depth=3, kernel_size=5)
    found = count(conv, jax.ShapeDtypeStruct((1, 50, 6), jnp.float32))
    assert found == (5 * 6 + 1) * 32 + 2 * (5 * 32 + 1) * 32 + 3 * 64
    mlp = EmbeddingMLP(width=32, depth=3)
    assert count(mlp, jax.ShapeDtypeStruct((1, 7), jnp.float32)) == 8 * 32 + 2 * 33 * 32 + 3 * 64


@pytest.mark.parametrize(
    "steps, kernel_size, stride", [(7, 3, 1), (7, 3, 2), (8, 5, 2), (9, 4, 3), (1, 5, 4), (6, 1, 4)]
)
def test_convolution(steps, kernel_size, stride):
    x = np.random.default_rng(0).normal(size=(2, steps, 3)).astype(np.float32)
    layer = Conv1d(4, kernel_size=kernel_size, stride=stride)
    params = params_of(layer, x)
    found = layer.apply({"params": params}, x)
    kernel, left = params["kernel"].reshape(kernel_size, 3, 4), (kernel_size - 1) // 2
    padded = np.pad(x, ((0, 0), (left, kernel_size), (0, 0)))
    for j in range(-(-steps // stride)):
        taps = padded[:, j * stride : j * stride + kernel_size]
        np.testing.assert_allclose(found[:, j], np.einsum("btc,tcd->bd", taps, kernel) + params["bias"], **CLOSE)
    assert found.shape[1] == -(-steps // stride)


def test_series_transformer_on_patches_of_all_channels():
    encoder = ENCODERS["series"].clone(scan=False)
    x = example_input(encoder)[0]
    params = params_of(encoder, x)
    p, found = ref.f64(params), pooled(encoder, params, x)
    for b in range(2):
        padded = np.pad(x[b], ((0, 6), (0, 0)))
        t = ref.dense(np.stack([padded[i : i + 6].ravel() for i in range(0, 21, 4)]), p["stem"])
        t = np.concatenate([p["class_embedding"][None], t + p["position_embedding"][:6]])
        for i in range(2):
            t = ref.block(t, p[f"blocks_{i}"], 2)
        np.testing.assert_allclose(found[b], ref.layer_norm(t, p["norm"], 1e-6)[0], **CLOSE)


def test_series_convolutions_halve_the_steps():
    encoder = ENCODERS["series_conv"]
    x = example_input(encoder)[0]
    params = params_of(encoder, x)
    p, found = ref.f64(params), features(encoder, params, x)
    assert found.tokens.shape == (4, 3, 16)  # 21, 11, 6, 3 steps
    for b in range(2):
        y = x[b].astype(np.float64)
        for i, name in enumerate(("stem", "hidden_1", "hidden_2")):
            y = ref.layer_norm(y, p[f"norm_{i}"], 1e-6) if i else y
            padded = np.pad(y, ((2, 2), (0, 0)))
            taps = np.stack([padded[j : j + 5].ravel() for j in range(0, len(y), 2)])
            y = ref.gelu(ref.dense(taps, p[name]))
        np.testing.assert_allclose(found.pooled[b], ref.layer_norm(y, p["norm"], 1e-6).mean(0), **CLOSE)


@pytest.mark.parametrize("stride", [1, 3])
def test_characters_of_all_places_count(stride):
    """Another byte anywhere makes other features, whether or not bytes are merged."""
    encoder = ENCODERS["characters"].clone(stride=stride)
    x = np.repeat(example_input(encoder)[0][:1], 22, axis=0)
    x[np.arange(21), np.arange(21)] = x[np.arange(21), np.arange(21)] % 39 + 1
    params = params_of(encoder, x)
    found = features(encoder, params, x)
    assert found.tokens.shape[1] == -(-21 // stride)
    distances = np.linalg.norm(found.pooled[:21] - found.pooled[21:], axis=1)
    assert distances.min() > 1e-3


def test_gru_is_torchs():
    """torch 2.14.1: GRU(4, 4, batch_first=True), its weights and input drawn in this order; states 0 and 4."""
    rng = np.random.default_rng(5)
    shapes = {"weight_ih": (12, 4), "weight_hh": (12, 4), "bias_ih": (12,), "bias_hh": (12,)}
    w = {name: (0.5 * rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
    x = rng.normal(size=(2, 5, 4)).astype(np.float32)
    inputs = x @ w["weight_ih"].T + w["bias_ih"]
    states = gru(jnp.asarray(inputs), jnp.ones((2, 5), bool), w["weight_hh"].T, w["bias_hh"])
    np.testing.assert_allclose(states[:, [0, 4]], RECORDED, rtol=1e-5, atol=1e-6)


def test_embedding_mlp():
    encoder = ENCODERS["embedding"]
    x = example_input(encoder)[0]
    params = params_of(encoder, x)
    p = ref.f64(params)
    y = ref.gelu(ref.dense(x, p["stem"]))
    for i in (1, 2):
        y = y + ref.gelu(ref.dense(ref.layer_norm(y, p[f"norm_{i}"], 1e-6), p[f"hidden_{i}"]))
    np.testing.assert_allclose(pooled(encoder, params, x), ref.layer_norm(y, p["norm"], 1e-6), **CLOSE)


@pytest.mark.parametrize("make", [lambda: SeriesTransformer(stride=20), lambda: SeriesConv(depth=0)])
def test_options_that_cannot_be(make):
    with pytest.raises(UserError):
        make()


RECORDED = [
    [[0.060675, 0.7178319, 0.3156261, -0.7600272], [0.0835679, 0.6670696, -0.1493571, -0.2825571]],
    [[-0.4753135, -0.0027369, -0.0897364, -0.7022407], [-0.1135337, 0.9690955, -0.0599682, 0.5565243]],
]
