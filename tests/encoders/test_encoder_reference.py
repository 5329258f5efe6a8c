"""Whole encoders against the independent numpy transformer."""

import jax
import jax.numpy as jnp
import numpy as np
import numpy_transformer as ref
import pytest
from encoder_cases import features, images, params_of, pooled, texts, tiny_text, tiny_vit

from mmjax.encoders.activations import ACTIVATIONS
from mmjax.encoders.attention import Attention, attend, attention_bias
from mmjax.encoders.norms import Norm
from mmjax.encoders.spec import Spec

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def tiny_spec(**options):
    return Spec.of(tiny_vit(**options))


@pytest.mark.parametrize("norm, qk_norm", [("layer", False), ("layer", True), ("rms", True)])
def test_attention(norm, qk_norm):
    rng = np.random.default_rng(0)
    queries, x = rng.normal(size=(2, 5, 16)).astype(np.float32), rng.normal(size=(2, 3, 16)).astype(np.float32)
    module = Attention(tiny_spec(norm=norm, qk_norm=qk_norm, heads=4))
    mask = np.array([[True, True, True], [True, False, True]])
    bias = attention_bias(jnp.asarray(mask))
    params = params_of(module, queries, x)
    found = jax.jit(lambda p: module.apply({"params": p}, queries, x, bias))(params)
    each = {"layer": ref.layer_norm, "rms": ref.rms_norm}[norm] if qk_norm else None
    for b in range(2):
        expected = ref.attention(queries[b], x[b], ref.f64(params), 4, np.tile(mask[b], (5, 1)), each)
        np.testing.assert_allclose(found[b], expected, **CLOSE)


def test_wholly_masked_rows_are_finite_in_value_and_gradient():
    q = jax.random.normal(jax.random.key(0), (2, 3, 2, 4))
    bias = attention_bias(jnp.array([[False] * 3, [True, False, False]]))
    out, gradient = jax.jit(lambda q: (attend(q, q, q, bias), jax.grad(lambda q: attend(q, q, q, bias).sum())(q)))(q)
    assert np.isfinite(out).all() and np.isfinite(gradient).all()
    np.testing.assert_allclose(out[1], np.tile(q[1, :1], (3, 1, 1)), rtol=1e-6)


def test_norms():
    x = np.random.default_rng(0).normal(2, 3, (4, 8)).astype(np.float32)
    p = {"scale": np.arange(1.0, 9, dtype=np.float32), "bias": np.full(8, 0.5, np.float32)}
    layer = Norm("layer", 1e-3).apply({"params": p}, x)
    np.testing.assert_allclose(layer, ref.layer_norm(x.astype(np.float64), p, 1e-3), **CLOSE)
    rms = Norm("rms", 1e-3).apply({"params": {"scale": p["scale"]}}, x)
    np.testing.assert_allclose(rms, ref.rms_norm(x.astype(np.float64), p, 1e-3), **CLOSE)


def test_activations():
    x = np.linspace(-4, 4, 33, dtype=np.float32)
    by_name = {"gelu": ref.gelu, "gelu_tanh": ref.gelu_tanh, "quick_gelu": ref.quick_gelu, "swiglu": ref.silu}
    assert set(by_name) == set(ACTIVATIONS)
    for name, act in by_name.items():
        np.testing.assert_allclose(ACTIVATIONS[name](x), act(x.astype(np.float64)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("act", ["gelu_tanh", "quick_gelu"])
def test_clip_vit(act):
    encoder = tiny_vit(pool="cls", pre_norm=True, patch_bias=False, act=act, norm_eps=1e-5)
    x = images()
    params = params_of(encoder, x)
    p, found = ref.f64(params), pooled(encoder, params, x)
    for b, image in enumerate(x.astype(np.float64)):
        t = np.concatenate([p["class_embedding"][None], ref.patches(image, 8) @ p["stem"]["patch"]["kernel"]])
        t = ref.layer_norm(t + p["position_embedding"], p["pre_norm"], 1e-5)
        for i in range(2):
            t = ref.block(t, p[f"blocks_{i}"], 2, getattr(ref, act), eps=1e-5)
        np.testing.assert_allclose(found[b], ref.layer_norm(t, p["norm"], 1e-5)[0], **CLOSE)


@pytest.mark.parametrize("pool", ["mean", "map"])
def test_siglip_vit_with_padded_patches(pool):
    encoder = tiny_vit(pool=pool)
    x, real = images(), np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0]], bool)
    params = params_of(encoder, x)
    p, found = ref.f64(params), features(encoder, params, x, mask=real)
    for b, image in enumerate(x.astype(np.float64)):
        allowed = np.tile(real[b], (4, 1))
        t = ref.dense(ref.patches(image, 8), p["stem"]["patch"]) + p["position_embedding"]
        for i in range(2):
            t = ref.block(t, p[f"blocks_{i}"], 2, allowed=allowed)
        t = ref.layer_norm(t, p["norm"], 1e-6)
        expected = t[real[b]].mean(0) if pool == "mean" else ref.map_pool(t, p["pool"], 2, allowed=allowed[:1])
        np.testing.assert_allclose(found.pooled[b], expected, **CLOSE)
        np.testing.assert_allclose(found.tokens[b], t, **CLOSE)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_causal_text_with_rms_norm(pre_norm):
    encoder = tiny_text(norm="rms", pre_norm=pre_norm)
    ids = texts()
    params = params_of(encoder, ids)
    p, found = ref.f64(params), pooled(encoder, params, ids)
    for b, row in enumerate(ids):
        t = p["token_embedding"][row] + p["position_embedding"]
        t = ref.rms_norm(t, p["pre_norm"], 1e-6) if pre_norm else t
        for i in range(2):
            t = ref.block(t, p[f"blocks_{i}"], 2, norm=ref.rms_norm, allowed=np.tri(7, dtype=bool))
        expected = ref.rms_norm(t, p["norm"], 1e-6)[list(row).index(29)]
        np.testing.assert_allclose(found[b], expected, **CLOSE)


def test_swiglu_and_layer_scale():
    encoder = tiny_text(act="swiglu", layer_scale=0.3, depth=1, pool="last", causal=False)
    ids = texts()
    params = params_of(encoder, ids)
    p = ref.f64(params)
    b = p["blocks_0"]
    for row, found in zip(ids, pooled(encoder, params, ids), strict=True):
        t = p["token_embedding"][row] + p["position_embedding"]
        y = ref.layer_norm(t, b["attention_norm"], 1e-6)
        t = t + b["attention_scale"] * ref.attention(y, y, b["attention"], 2)
        y = ref.layer_norm(t, b["mlp_norm"], 1e-6)
        hidden = ref.silu(ref.dense(y, b["mlp"]["gate"])) * ref.dense(y, b["mlp"]["up"])
        t = t + b["mlp_scale"] * ref.dense(hidden, b["mlp"]["down"])
        np.testing.assert_allclose(found, ref.layer_norm(t, p["norm"], 1e-6)[-1], **CLOSE)


def test_layer_scale_starts_at_its_value():
    encoder = tiny_vit(layer_scale=1e-4)
    init = jax.jit(lambda key: encoder.init(key, images())["params"]["blocks_1"]["mlp_scale"])
    np.testing.assert_array_equal(init(jax.random.key(0)), np.full(16, 1e-4, np.float32))


def test_merge_stem():
    """Quarter patches by nested loops, merged twice."""
    encoder = tiny_vit(stem="merge", depth=0, pool="mean", position="none", norm="rms", patch_size=16, image_size=32)
    x = images(2, 32, 32)
    params = params_of(encoder, x)
    p, found = ref.f64(params), features(encoder, params, x)
    s = p["stem"]

    def merged(grid):
        """(R, C, D) -> (R / 2, C / 2, 4 D): neighbours row by row."""
        rows = [[grid[r : r + 2, c : c + 2].ravel() for c in range(0, len(grid[0]), 2)] for r in range(0, len(grid), 2)]
        return np.array(rows)

    for b, image in enumerate(x.astype(np.float64)):
        grid = ref.dense(ref.patches(image, 4).reshape(8, 8, -1), s["patch"])
        grid = ref.dense(merged(ref.gelu(ref.rms_norm(grid, s["norm_0"], 1e-6))), s["merge_0"])
        grid = ref.dense(merged(ref.gelu(ref.rms_norm(grid, s["norm_1"], 1e-6))), s["merge_1"])
        expected = ref.rms_norm(grid.reshape(4, -1), p["norm"], 1e-6)
        np.testing.assert_allclose(found.tokens[b], expected, **CLOSE)


def test_conv_stem():
    encoder = tiny_vit(stem="conv", depth=0, pool="mean", position="none", patch_size=4, image_size=8, width=16)
    x = images(2, 8, 8)
    params = params_of(encoder, x)
    p, found = ref.f64(params), features(encoder, params, x)
    s = p["stem"]

    def conv(image, kernel):
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
        n = len(image) // 2
        windows = [[padded[2 * r : 2 * r + 3, 2 * c : 2 * c + 3] for c in range(n)] for r in range(n)]
        return np.einsum("rchwi,hwio->rco", np.array(windows), kernel)

    assert s["conv_0_kernel"].shape == (3, 3, 3, 8) and s["conv_1_kernel"].shape == (3, 3, 8, 16)
    for b, y in enumerate(x.astype(np.float64)):
        for i in range(2):
            y = ref.gelu(ref.layer_norm(conv(y, s[f"conv_{i}_kernel"]), s[f"norm_{i}"], 1e-6))
        expected = ref.layer_norm(ref.dense(y, s["patch"]).reshape(4, -1), p["norm"], 1e-6)
        np.testing.assert_allclose(found.tokens[b], expected, **CLOSE)
