"""What is dropped depends on the example's key alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoder_cases import example_input, features, images, keys, params_of, pooled, texts, tiny_text, tiny_vit

from mmjax.encoders import stack_blocks
from mmjax.encoders.layers import drop_path, dropout, keys_for
from mmjax.encoders.vit import kept_patches

RANDOM = {"dropout": 0.3, "drop_path": 0.5}
ENCODERS = [
    tiny_vit(**RANDOM, patch_dropout=0.5),
    tiny_vit(**RANDOM, patch_dropout=0.25, pool="map", scan=True),
    tiny_text(**RANDOM),
    tiny_text(**RANDOM, scan=True, remat="full"),
]
NAMES = ["vit", "vit-scan", "text", "text-scan"]


@pytest.mark.parametrize("encoder", ENCODERS, ids=NAMES)
def test_an_example_keeps_its_masks_wherever_it_stands(encoder):
    x, k = example_input(encoder), keys()
    params = params_of(encoder, x)
    whole = pooled(encoder, params, x, keys=k)
    order = np.array([2, 0, 3, 1])
    # Values may differ in the last bits as products are blocked by batch; a different mask would differ by far more.
    np.testing.assert_allclose(pooled(encoder, params, x[order], keys=k[order]), whole[order], rtol=1e-5, atol=1e-5)
    parts = [pooled(encoder, params, x[i : i + 2], keys=k[i : i + 2]) for i in (0, 2)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5, atol=1e-5)
    other = pooled(encoder, params, x, keys=keys(step=1))
    assert np.abs(other - whole).max(1).min() > 1e-2
    same_example = pooled(encoder, params, np.repeat(x[:1], 4, 0), keys=k)
    assert np.abs(same_example[0] - same_example[1:]).max(1).min() > 1e-2


@pytest.mark.parametrize("encoder", ENCODERS, ids=NAMES)
def test_without_keys_nothing_is_dropped(encoder):
    x = example_input(encoder)
    params = params_of(encoder, x)
    plain = encoder.clone(dropout=0.0, drop_path=0.0, **({"patch_dropout": 0.0} if "vit" in str(type(encoder)) else {}))
    np.testing.assert_array_equal(pooled(encoder, params, x), pooled(plain, params, x))
    np.testing.assert_allclose(pooled(plain, params, x, keys=keys()), pooled(plain, params, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("encoder", [tiny_vit(**RANDOM, patch_dropout=0.5), tiny_text(**RANDOM)], ids=["vit", "text"])
def test_scanned_and_unrolled_blocks_drop_alike(encoder):
    x, k = example_input(encoder), keys()
    params = params_of(encoder, x)
    scanned = pooled(encoder.clone(scan=True), stack_blocks(params), x, keys=k)
    np.testing.assert_allclose(scanned, pooled(encoder, params, x, keys=k), rtol=1e-5, atol=1e-5)


@functools.partial(jax.jit, static_argnums=0)
def inside(encoder, params, x, k):
    """The outputs of all submodules."""
    return encoder.apply({"params": params}, x, keys=k, capture_intermediates=True)[1]["intermediates"]


def test_every_layer_drops_otherwise():
    """With blocks alike, the branch of the second would repeat the mask of the first if keys were shared."""
    encoder = tiny_text(dropout=0.5, depth=2, scan=True, position="none", pool="last", causal=False)
    ids = texts()
    params = params_of(encoder, ids)
    ones = jax.tree.map(jnp.zeros_like, params["blocks"])
    ones["mlp"]["down"]["bias"] = jnp.ones_like(ones["mlp"]["down"]["bias"])
    params = {**params, "blocks": ones, "token_embedding": jnp.zeros_like(params["token_embedding"])}
    state = inside(encoder, params, ids, keys())
    sums = np.asarray(state["blocks"]["__call__"][0][0])
    # Each layer adds 0 or 2: with shared masks only sums 0 and 4 occur; independent ones give 0, 2, 4 as 1:2:1.
    values, counts = np.unique(sums, return_counts=True)
    np.testing.assert_array_equal(values, [0, 2, 4])
    assert 0.35 < counts[1] / counts.sum() < 0.65


def test_dropout_rate_scale_and_expectation():
    x = jnp.ones((8, 50, 40))
    y = np.asarray(dropout(x, 0.25, keys(8)))
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.75], rtol=1e-6)
    assert abs((y == 0).mean() - 0.25) < 0.015  # 16,000 draws: 0.015 is 4 standard deviations


def test_drop_path_drops_whole_examples_and_keeps_the_expectation():
    y = np.asarray(drop_path(jnp.ones((4000, 2, 3)), jnp.float32(0.2), keys(4000)))
    assert (y == y[:, :1, :1]).all()
    np.testing.assert_allclose(np.unique(y), [0, 1.25], rtol=1e-6)
    assert abs(y.mean() - 1) < 0.03  # standard deviation sqrt(.2 * .8 / 4000) * 1.25 = .008


def test_drop_path_rises_linearly_from_the_first_block():
    """At a rate near 1 the first of three blocks always acts, the second in half of the cases, the last hardly ever."""
    encoder = tiny_text(drop_path=0.98, depth=3, position="none", pool="last", causal=False)
    ids = np.ones((1000, 2), np.int32)
    params = params_of(encoder, ids)
    zero = jax.tree.map(jnp.zeros_like, params)
    for layer in range(3):
        zero[f"blocks_{layer}"]["mlp"]["down"]["bias"] = zero[f"blocks_{layer}"]["mlp"]["down"]["bias"].at[layer].set(1)
    state = inside(encoder, zero, ids, keys(1000))
    out = np.asarray(state["blocks_2"]["__call__"][0][0])[:, 0, :3]
    np.testing.assert_array_equal(out[:, 0], 1)
    assert abs((out[:, 1] > 0).mean() - 0.51) < 0.07 and 0 < (out[:, 2] > 0).mean() < 0.05


@pytest.mark.parametrize("rate, patches, kept", [(0.5, 16, 8), (0.75, 16, 4), (0.5, 49, 24), (0.99, 4, 1)])
def test_patch_dropout_counts(rate, patches, kept):
    indices = np.asarray(kept_patches(keys(64), patches, rate))
    assert indices.shape == (64, kept)
    assert (np.diff(indices, axis=1) > 0).all() and indices.min() >= 0 and indices.max() < patches
    assert len(set(indices.ravel())) == patches  # every patch is kept for someone
    np.testing.assert_array_equal(indices, kept_patches(keys(64), patches, rate))
    np.testing.assert_array_equal(indices[7:9], kept_patches(keys(64)[7:9], patches, rate))


def test_patch_dropout_is_the_encoder_on_the_kept_patches():
    """The same as masking the patches left out: positions stay with their patches, the class token stays."""
    encoder = tiny_vit(patch_dropout=0.5, image_size=32)
    x = images(4, 32, 32)
    params = params_of(encoder, x)
    dropped = features(encoder, params, x, keys=keys())
    assert dropped.tokens.shape == (4, 8, 16)
    kept = np.asarray(kept_patches(keys_for(keys(), "patch_dropout"), 16, 0.5))
    mask = np.zeros((4, 16), bool)
    np.put_along_axis(mask, kept, True, axis=1)
    masked = features(encoder, params, x, mask=mask)
    np.testing.assert_allclose(dropped.pooled, masked.pooled, rtol=1e-4, atol=1e-5)
    with_mask = features(encoder, params, x, keys=keys(), mask=mask)
    assert with_mask.mask.shape == (4, 8) and np.asarray(with_mask.mask).all()
