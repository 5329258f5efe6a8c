"""Products, norms, activations and attention, with backward passes of their own, against plain forms and autodiff."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoder_cases import example_input, images, params_of, texts, tiny_text, tiny_vit
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from mmjax.encoders.activations import ACTIVATIONS
from mmjax.encoders.attention import attend, attention_bias
from mmjax.encoders.layers import add_bias
from mmjax.encoders.norms import normalise
from mmjax.encoders.products import compiling_for, dense, matmul_columns, outer
from mmjax.training.flops import count_flops

HALF = 2**-7  # of the norm: bfloat16 keeps 8 bits, and a few roundings follow one another


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def half(tree):
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16), tree)


def own_dense(x, *kernels):
    return dense(x, kernels, x.dtype)


def plain_dense(x, *kernels):
    return tuple(jnp.einsum("...d,dk->...k", x, k) for k in kernels)


def plain_norm(x, scale, bias=None):
    x = x if bias is None else x - x.mean(-1, keepdims=True)
    y = x / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5) * scale[None, None]
    return y if bias is None else y + bias[None, None]


def plain_attend(query, key, value, bias):
    logits = jnp.einsum("bnhd,bmhd->bhnm", query, key) / query.shape[-1] ** 0.5 + bias
    return jnp.einsum("bhnm,bmhd->bnhd", jax.nn.softmax(logits), value)


F32 = jnp.dtype("float32")
BIAS = attention_bias(jnp.arange(6)[None] < jnp.array([[6], [4]]), causal_length=6)
HEADS = tuple(draw(i, 2, 6, 3, 4) for i in range(3))
# Each with its plain form and inputs, of which the first is the activations, the others parameters.
CASES = {
    "wide": (own_dense, plain_dense, (draw(0, 3, 5, 8), draw(1, 8, 24))),
    "narrow": (own_dense, plain_dense, (draw(0, 3, 5, 24), draw(1, 24, 8))),
    "two axes": (own_dense, plain_dense, (draw(0, 6, 8), draw(1, 8, 3))),
    "three kernels": (own_dense, plain_dense, (draw(0, 2, 3, 2, 8), draw(1, 8, 8), draw(2, 8, 4), draw(3, 8, 16))),
    "bias": (add_bias, lambda x, b: x + b[None, None], (draw(0, 3, 5, 8), draw(1, 8))),
    "layer norm": (
        lambda x, s, b: normalise(x, s, b, 1e-5, x.dtype),
        plain_norm,
        (2 + 3 * draw(0, 3, 5, 8), draw(1, 8), draw(2, 8)),
    ),
    "rms norm": (
        lambda x, s: normalise(x, s, None, 1e-5, x.dtype),
        plain_norm,
        (2 + 3 * draw(0, 3, 5, 8), draw(1, 8)),
    ),
    "attention": (lambda *qkv: attend(*qkv, BIAS), lambda *qkv: plain_attend(*qkv, BIAS), HEADS),
    "gelu": (ACTIVATIONS["gelu"], lambda x: jax.nn.gelu(x, approximate=False), (3 * draw(0, 3, 40),)),
    "gelu_tanh": (ACTIVATIONS["gelu_tanh"], jax.nn.gelu, (3 * draw(0, 3, 40),)),
    "quick_gelu": (ACTIVATIONS["quick_gelu"], lambda x: x / (1 + jnp.exp(-1.702 * x)), (3 * draw(0, 3, 40),)),
    "swiglu": (ACTIVATIONS["swiglu"], jax.nn.silu, (3 * draw(0, 3, 40),)),
}


def wave(y):
    """A cotangent of y that bfloat16 holds exactly."""
    return half(jnp.cos(jnp.arange(y.size)).reshape(y.shape)).astype(F32)


def value_and_cotangents(function, inputs):
    """The value and the cotangents of all inputs, for a fixed cotangent of the value."""

    def both(*inputs):
        value, pullback = jax.vjp(function, *inputs)
        return value, pullback(jax.tree.map(lambda y: wave(y).astype(y.dtype), value))

    return jax.tree.leaves(jax.jit(both)(*inputs))


@pytest.mark.parametrize("name", CASES)
def test_equals_the_plain_form_in_value_and_gradient(name):
    function, plain, inputs = CASES[name]
    for found, expected in zip(
        value_and_cotangents(function, inputs), value_and_cotangents(plain, inputs), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_is_within_its_rounding_of_float32(name):
    function, plain, inputs = CASES[name]
    rounded = half(inputs)
    exact = jax.tree.map(lambda x: x.astype(F32), rounded)
    inputs = rounded if name == "attention" else (rounded[0], *exact[1:])
    value, cotangents = jax.eval_shape(lambda *i: (function(*i), i), *inputs)
    wanted = [x.dtype for x in jax.tree.leaves((value, cotangents))]
    found, expected = value_and_cotangents(function, inputs), value_and_cotangents(plain, exact)
    for a, b, dtype in zip(found, expected, wanted, strict=True):
        assert a.dtype == dtype
        assert np.linalg.norm(a.astype(F32) - b) < HALF * np.linalg.norm(b)


@pytest.mark.parametrize("name", ["narrow", "three kernels", "layer norm", "attention", "gelu"])
def test_vmap_is_a_loop(name):
    function, _, inputs = CASES[name]
    many = tuple(jnp.stack([x, 2 * x]) for x in inputs)
    together = value_and_cotangents(jax.vmap(function), many)
    cotangents = jax.tree.map(wave, jax.vmap(function)(*many))
    for i in range(2):
        value, pullback = jax.vjp(function, *(x[i] for x in many))
        alone = value, pullback(jax.tree.map(lambda c: c[i], cotangents))  # noqa: B023
        for a, b in zip(together, jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=2e-6)


def test_columns_in_bfloat16():
    a, b = half((draw(0, 2, 3, 5, 4), draw(1, 2, 3, 5, 6)))
    found = matmul_columns(a, b, jnp.dtype("bfloat16")).astype(F32)
    expected = np.einsum("bhkn,bhkm->bhnm", np.asarray(a, np.float64), np.asarray(b, np.float64))
    assert np.linalg.norm(found - expected) < HALF * np.linalg.norm(expected)


def lowered(function, platform, *inputs):
    return jax.jit(function).trace(*inputs).lower(lowering_platforms=(platform,)).as_text()


def test_other_platforms_get_products_in_their_own_dtype_and_no_transposes():
    x, kernel = half((draw(0, 3, 5, 24), draw(1, 24, 8)))
    both = lambda x, k: jax.vjp(lambda x, k: dense(x, (k,), x.dtype), x, k)[1]((x[..., :8],))  # noqa: E731
    results = lambda text: set(re.findall(r"dot_general .*-> tensor<\S*?(f32|bf16)>", text))  # noqa: E731
    assert results(lowered(both, "cpu", x, kernel)) == {"f32"}
    for platform in ("tpu", "cuda"):
        text = lowered(both, platform, x, kernel)
        assert results(text) == {"bf16"} and "transpose" not in text and "optimization_barrier" not in text


def test_sharded_products_are_those_of_one_device():
    mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(jax.sharding.AxisType.Auto,) * 3)
    for name, specs in {
        "narrow": (P(("data", "fsdp")), P("tensor", "fsdp")),
        "wide": (P(("data", "fsdp")), P("fsdp", "tensor")),
        "attention": (P(("data", "fsdp"), None, "tensor"),) * 3,
    }.items():
        function, _, inputs = CASES[name]
        if name == "attention":
            function, inputs = attend, tuple(draw(i, 4, 6, 2, 4) for i in range(3))
        else:
            inputs = (draw(0, 4, 5, inputs[0].shape[-1]), inputs[1])
        for arrays, tolerance in ((inputs, 1e-5), (half(inputs), HALF)):
            placed = tuple(jax.device_put(x, NamedSharding(mesh, s)) for x, s in zip(arrays, specs, strict=True))
            alone = value_and_cotangents(function, arrays)
            for a, b in zip(value_and_cotangents(function, placed), alone, strict=True):
                assert np.linalg.norm((a - b).astype(F32)) <= tolerance * np.linalg.norm(b.astype(F32))


def test_only_cpus_keep_integers():
    x, kernel = half((draw(0, 3, 5, 24), draw(1, 24, 8)))

    def residuals():
        return {y.dtype.name for y in jax.tree.leaves(jax.eval_shape(lambda x: jax.vjp(own_dense, x, kernel)[1], x))}

    assert "uint16" in residuals()  # on this machine
    with compiling_for("tpu"):
        assert "uint16" not in residuals()
    assert "uint16" in residuals()


def kept(remat, dtype):
    """Shapes of what backward of a tiny text encoder finds in memory: batch 4, length 7, 2 heads, mlp 64."""
    encoder, ids = tiny_text(remat=remat, dtype=dtype, depth=1), texts()
    params = params_of(encoder, ids)
    pullback = jax.eval_shape(lambda p: jax.vjp(lambda p: encoder.apply({"params": p}, ids).pooled, p)[1], params)
    return [x.shape for x in jax.tree.leaves(pullback)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_remat_keeps_what_it_says(dtype):
    hidden, logits, block = (4, 7, 64), (4, 2, 7, 7), (4, 7, 16)
    full, dots, all_dots = (kept(remat, dtype) for remat in ("full", "dots", "all_dots"))
    assert hidden not in full and logits not in full and block in full
    assert dots.count(hidden) == 1 and logits not in dots  # the product before the activation, not the activation
    assert dots.count(block) == full.count(block) + 4  # query, key, value and out; down is of no use to backward
    assert all_dots.count(logits) == 1 and all_dots.count(hidden) == 1


@pytest.mark.parametrize("encoder", [tiny_vit(pool="map"), tiny_text(scan=True, remat="dots")])
def test_flops_are_those_of_the_plain_products(encoder):
    x = example_input(encoder)
    params = params_of(encoder, x)

    def flops(dtype):
        grad = jax.grad(lambda p: encoder.clone(dtype=dtype).apply({"params": p}, x).pooled.sum())
        return count_flops(grad, params)

    assert flops("bfloat16") == flops("float32")


def test_flops_of_a_dense_layer():
    x, kernel = half((draw(0, 3, 5, 24), draw(1, 24, 8)))
    forward = 2 * 15 * 24 * 8
    assert count_flops(lambda x, k: dense(x, (k,), x.dtype), x, kernel) == forward

    def with_gradients(*inputs):
        value, pullback = jax.vjp(own_dense, *inputs)
        return value, pullback(value)

    assert count_flops(with_gradients, x, kernel) == 3 * forward
    assert count_flops(outer, x, x[..., :8]) == forward


def test_no_stack_of_layers_is_converted():
    """Of a scan's activations one layer at a time becomes float32, and never the stack of all five."""
    encoder, x = tiny_vit(scan=True, depth=5, dtype="bfloat16"), images()
    params = params_of(encoder, x)
    grad = jax.jit(jax.grad(lambda p: encoder.apply({"params": p}, x).pooled.sum()))
    text = grad.lower(params).compile().as_text()
    assert re.search(r"u16\[5,4,5,64\]", text)  # the hidden units: 5 layers, 4 examples, 5 tokens
    assert not re.search(r"(f32|bf16)\[5,4,5,\d+\]\S* convert\(", text)
