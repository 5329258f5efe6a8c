"""What is dropped depends on the example's key alone."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoder_cases import example_input, features, images, keys, params_of, pooled, tiny_text, tiny_vit

from mmjax.encoders import stack_blocks
from mmjax.encoders.blocks import apply_blocks
from mmjax.encoders.layers import drop_path, dropout, keys_for
from mmjax.encoders.spec import Spec
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
    halves = [pooled(encoder, params, x[i : i + 2], keys=k[i : i + 2]) for i in (0, 2)]
    np.testing.assert_allclose(np.concatenate(halves), whole, rtol=1e-5, atol=1e-5)
    other = pooled(encoder, params, x, keys=keys(step=1))
    assert np.abs(other - whole).max(1).min() > 1e-2
    same_example = pooled(encoder, params, np.repeat(x[:1], 4, 0), keys=k)
    assert np.abs(same_example[0] - same_example[1:]).max(1).min() > 1e-2


@pytest.mark.parametrize("encoder", ENCODERS[::3], ids=NAMES[::3])
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


class Blocks(nn.Module):
    """Blocks alone."""

    spec: Spec

    @nn.compact
    def __call__(self, x, keys):
        return apply_blocks(self.spec, x, None, keys)


def sums_of_ones(examples, **options):
    """What blocks whose MLPs each put out ones, and attention zeros, make of zeros: (examples, 2, 16)."""
    spec = Spec.of(tiny_text(scan=True, **options))
    x = np.zeros((examples, 2, 16), np.float32)
    zeros = jax.tree.map(jnp.zeros_like, params_of(Blocks(spec), x, keys(examples)))
    zeros["blocks"]["mlp"]["down"]["bias"] += 1
    return np.asarray(jax.jit(Blocks(spec).apply)({"params": zeros}, x, keys(examples)))


def test_every_layer_drops_otherwise():
    """Each of two layers adds 0 or 2. Were masks shared, the sum would be 0 or 4; so it is 0, 2, 4 as 1:2:1."""
    values, counts = np.unique(sums_of_ones(40, dropout=0.5, depth=2), return_counts=True)
    np.testing.assert_array_equal(values, [0, 2, 4])
    assert abs(counts[1] / counts.sum() - 0.5) < 0.06  # 1,280 draws: 4 standard deviations


def test_drop_path_rises_linearly_from_the_first_block():
    """Rates of three blocks are 0, 0.4 and 0.8, so they add 1, 0 or 1 / 0.6, 0 or 5."""
    sums = sums_of_ones(1000, drop_path=0.8, depth=3)
    assert (sums == sums[:, :1, :1]).all()
    values, counts = np.unique(np.round(sums[:, 0, 0], 3), return_counts=True)
    np.testing.assert_allclose(values, [1, 1 + 1 / 0.6, 6, 6 + 1 / 0.6], rtol=1e-3)
    np.testing.assert_allclose(counts / 1000, [0.4 * 0.8, 0.6 * 0.8, 0.4 * 0.2, 0.6 * 0.2], atol=0.06)


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
    encoder = tiny_vit(patch_dropout=0.5, image_size=32, depth=1)
    x = images(4, 32, 32)
    params = params_of(encoder, x)
    kept = np.asarray(kept_patches(keys_for(keys(), "patch_dropout"), 16, 0.5))
    mask = np.zeros((4, 16), bool)
    np.put_along_axis(mask, kept, True, axis=1)
    dropped, masked = (features(encoder, params, x, mask=mask, keys=k) for k in (keys(), None))
    assert dropped.tokens.shape == (4, 8, 16)
    assert dropped.mask.shape == (4, 8) and np.asarray(dropped.mask).all()
    np.testing.assert_allclose(dropped.pooled, masked.pooled, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dropped.tokens, masked.tokens[np.arange(4)[:, None], kept], rtol=1e-4, atol=1e-5)
