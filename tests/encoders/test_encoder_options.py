"""Scan, remat, dtypes, sizes of input, masks, documentation and errors."""

import dataclasses
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoder_cases import (
    example_input,
    features,
    images,
    keys,
    params_of,
    pooled,
    texts,
    tiny_text,
    tiny_vit,
    value_and_grad,
)

from mmjax.encoders import ENCODERS, Features, stack_blocks, unstack_blocks
from mmjax.encoders.positions import resize_positions, sincos_1d, sincos_2d
from mmjax.errors import UserError

TINY = [tiny_vit(), tiny_text()]


def assert_trees_close(a, b, **tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


@pytest.mark.parametrize("encoder", TINY)
def test_scan_equals_unrolled_in_value_and_gradient(encoder):
    x = example_input(encoder)
    params = params_of(encoder, x)
    value, gradient = value_and_grad(encoder, params, x)
    stacked_value, stacked_gradient = value_and_grad(encoder.clone(scan=True), stack_blocks(params), x)
    np.testing.assert_allclose(stacked_value, value, rtol=1e-5)
    assert_trees_close(stacked_gradient, stack_blocks(gradient), rtol=1e-4, atol=1e-5)


def test_stack_and_unstack_are_inverse_and_keep_the_order():
    layers = {f"blocks_{i}": {"mlp": {"bias": np.full(2, i)}} for i in range(12)}
    tree = {"image": {**layers, "norm": {"scale": np.ones(3)}}, "scale": np.ones(())}
    stacked = stack_blocks(tree)
    assert set(stacked["image"]) == {"blocks", "norm"}
    np.testing.assert_array_equal(stacked["image"]["blocks"]["mlp"]["bias"][:, 0], np.arange(12))
    assert_trees_close(unstack_blocks(stacked), tree)


@pytest.mark.parametrize("remat, scan, k", [("full", True, keys()), ("dots", False, None), ("all_dots", True, None)])
def test_remat_changes_nothing(remat, scan, k):
    encoder = tiny_text(scan=scan, dropout=0.2)
    x = texts()
    params = params_of(encoder, x)
    value, gradient = value_and_grad(encoder, params, x, k)
    again, again_gradient = value_and_grad(encoder.clone(remat=remat), params, x, k)
    np.testing.assert_allclose(again, value, rtol=1e-5)
    assert_trees_close(again_gradient, gradient, rtol=1e-4, atol=1e-6)


def test_remat_saves_less():
    def saved(remat):
        encoder = tiny_text(remat=remat)
        ids = texts()
        params = params_of(encoder, ids)
        pullback = jax.eval_shape(lambda p: jax.vjp(lambda p: encoder.apply({"params": p}, ids).pooled, p)[1], params)
        return sum(x.size for x in jax.tree.leaves(pullback))

    assert saved("full") < saved("dots") < saved("all_dots") < saved("none")


@pytest.mark.parametrize("encoder", [tiny_text(pool="mean"), tiny_vit(pool="map"), tiny_vit(stem="conv", qk_norm=True)])
def test_bfloat16_is_close_and_parameters_stay_float32(encoder):
    x = example_input(encoder)
    params = params_of(encoder, x)
    exact, half = pooled(encoder, params, x), features(encoder.clone(dtype="bfloat16"), params, x)
    assert half.pooled.dtype == jnp.float32 and half.tokens.dtype == jnp.bfloat16
    assert np.linalg.norm(half.pooled - exact) < 0.03 * np.linalg.norm(exact)
    fresh = jax.eval_shape(encoder.clone(dtype="bfloat16").init, jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(fresh)} == {jnp.dtype("float32")}


def test_uint8_images_are_normalised_on_the_device():
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    encoder = tiny_vit(mean=mean, std=std)
    raw = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    params = params_of(encoder, raw)
    by_hand = ((raw.astype(np.float64) / 255 - mean) / std).astype(np.float32)
    np.testing.assert_allclose(pooled(encoder, params, raw), pooled(encoder, params, by_hand), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pool", ["cls", "mean"])
@pytest.mark.parametrize("position", ["learned", "sincos2d", "sincos1d", "none"])
def test_other_image_sizes_run_with_the_same_parameters(pool, position):
    encoder = tiny_vit(pool=pool, position=position)
    params = params_of(encoder, images())
    found = jax.eval_shape(lambda x: encoder.apply({"params": params}, x), images(2, 24, 40))
    assert found.tokens.shape == (2, 15, 16) and found.mask is None
    assert ("position_embedding" in params) == (position == "learned")


def test_resized_positions():
    table = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    assert resize_positions(table, 3, 3, 3) is table
    np.testing.assert_allclose(resize_positions(np.ones((9, 4), np.float32), 3, 5, 2), 1, rtol=1e-6)
    # Twice the side: centres lie at -1/4, 1/4, 3/4, ...; the cubic kernel (a = -1/2) at 1/4 from a point weighs its
    # four neighbours -9/128, 111/128, 29/128, -3/128. Rows alike make the grid one-dimensional.
    line = np.array([1.0, -2, 3, 5, 0, 2], np.float32)
    grid = np.tile(line, (6, 1)).reshape(36, 1)
    found = np.asarray(resize_positions(grid, 6, 6, 12)).reshape(6, 12)
    weights = np.array([-9, 111, 29, -3]) / 128
    np.testing.assert_allclose(found[3, 5], weights @ line[1:5], rtol=1e-5)
    np.testing.assert_allclose(found[3, 6], weights[::-1] @ line[1:5], rtol=1e-5)


def test_class_position_is_not_resized():
    encoder = tiny_vit(depth=0)
    params = params_of(encoder, images())
    expected = pooled(encoder, params, images())
    np.testing.assert_allclose(pooled(encoder, params, images(4, 24, 32)), expected, rtol=1e-6)


def test_sincos_tables():
    one = sincos_1d(5, 4)
    np.testing.assert_allclose(one[3], [np.sin(3), np.sin(0.03), np.cos(3), np.cos(0.03)], rtol=1e-5)
    two = sincos_2d(2, 3, 8)
    assert two.shape == (6, 8)
    np.testing.assert_allclose(two[5], np.concatenate([sincos_1d(3, 4)[2], sincos_1d(2, 4)[1]]), rtol=1e-6)


def test_positions_tell_patches_apart_and_none_does_not():
    x = images()
    swapped = np.concatenate([x[:, 8:], x[:, :8]], axis=1)
    for position in ("learned", "sincos2d", "sincos1d", "none"):
        encoder = tiny_vit(position=position, pool="mean")
        params = params_of(encoder, x)
        change = np.abs(pooled(encoder, params, x) - pooled(encoder, params, swapped)).max()
        assert (change < 1e-5) == (position == "none")


def test_causality():
    ids = texts()
    later = ids.copy()
    later[:, 4:] = (later[:, 4:] + 5) % 30
    for causal in (True, False):
        encoder = tiny_text(causal=causal)
        params = params_of(encoder, ids)
        a, b = (features(encoder, params, t).tokens for t in (ids, later))
        assert np.array_equal(a[:, :4], b[:, :4]) == causal
        assert not np.array_equal(a[:, 4:], b[:, 4:])


@pytest.mark.parametrize("pool", ["eot", "mean", "map"])
@pytest.mark.parametrize("mask_padding", [True, False])
def test_padding_does_not_matter_where_it_is_masked(pool, mask_padding):
    encoder = tiny_text(pool=pool, mask_padding=mask_padding, causal=False, context=12)
    ids = texts()
    padded = np.pad(ids, ((0, 0), (0, 5)))
    params = params_of(encoder, ids)
    change = np.abs(pooled(encoder, params, padded) - pooled(encoder, params, ids)).max()
    assert (change < 1e-5) == mask_padding


def test_masks_come_from_the_batch_or_from_pad_id():
    encoder = tiny_text(pool="mean", pad_id=5, mask_padding=True)
    ids = np.array([[3, 4, 5, 5, 5, 5, 5], [1, 2, 3, 4, 5, 5, 5]], np.int32)
    params = params_of(encoder, ids)
    found = features(encoder, params, ids)
    np.testing.assert_array_equal(found.mask.sum(1), [2, 4])
    given = features(encoder, params, ids, mask=ids != 5)
    np.testing.assert_allclose(given.pooled, found.pooled, rtol=1e-6)
    other = features(encoder, params, ids, mask=np.ones(ids.shape, bool))
    assert np.abs(other.pooled - found.pooled).max() > 1e-2


@pytest.mark.parametrize("pool", ["mean", "map"])
def test_an_empty_text_is_finite_in_value_and_gradient(pool):
    encoder = tiny_text(pool=pool, mask_padding=True, depth=1)
    ids = texts()
    ids[1] = 0
    value, gradient = value_and_grad(encoder, params_of(encoder, ids), ids)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))


def test_pools_of_a_bag_of_pieces():
    """Depth 0 without positions: tokens are normed embeddings, so that pooling is seen by itself."""
    ids = np.array([[7, 29, 3, 29, 0, 0, 0], [1, 2, 3, 4, 5, 6, 8]], np.int32)
    for pool, expected in {
        "eot": lambda t: [t[0, 1], t[1, 6]],  # the first end of text; the last position where there is none
        "last": lambda t: [t[0, 6], t[1, 6]],
        "mean": lambda t: [t[0, :4].mean(0), t[1].mean(0)],
    }.items():
        encoder = tiny_text(pool=pool, depth=0, position="none")
        found = features(encoder, params_of(encoder, ids), ids)
        np.testing.assert_allclose(found.pooled, expected(np.asarray(found.tokens)), rtol=1e-5, atol=1e-6)
    assert not any(name.startswith("blocks") for name in params_of(encoder, ids))


def test_a_class_token_comes_after_the_text():
    """Without blocks it is its own embedding, normed, whatever the text; the tokens are the text's alone."""
    ids = np.array([[7, 29, 3, 29, 0, 0, 0], [1, 2, 3, 4, 5, 6, 8]], np.int32)
    encoder = tiny_text(pool="cls", depth=0)
    params = params_of(encoder, ids)
    found = features(encoder, params, ids)
    token = np.asarray(params["class_embedding"])
    normed = (token - token.mean()) / np.sqrt(token.var() + encoder.norm_eps)
    normed = normed * params["norm"]["scale"] + params["norm"]["bias"]
    np.testing.assert_allclose(found.pooled, np.stack([normed, normed]), rtol=1e-4, atol=1e-5)
    assert found.tokens.shape[:2] == ids.shape


def test_short_texts_take_the_first_positions():
    encoder = tiny_text()
    ids = texts()
    params = params_of(encoder, ids)
    short, whole = (features(encoder, params, t).tokens for t in (ids[:, :3], ids))
    np.testing.assert_allclose(short, whole[:, :3], rtol=1e-4, atol=1e-5)


def test_an_id_past_the_vocabulary_gives_nan_instead_of_a_wrong_row():
    encoder = tiny_text(pool="last", depth=0)
    ids = texts()
    params = params_of(encoder, ids)
    ids[0, -1] = 30
    assert np.isnan(pooled(encoder, params, ids)).any(axis=1).tolist() == [True, False, False, False]


@pytest.mark.parametrize("cls", ENCODERS.values())
def test_every_field_is_documented_and_simple(cls):
    sections = [doc.split("Attributes:\n")[1:] for base in cls.__mro__ if (doc := vars(base).get("__doc__"))]
    sections = ["\n".join(section) for section in sections[: cls.__mro__.index(nn.Module)]]
    documented = re.findall(r"^ {8}(\w+): \S.*\.$", "\n".join(sections), re.M)
    fields = [f for f in dataclasses.fields(cls) if f.name not in ("parent", "name")]
    assert set(documented) == {f.name for f in fields}
    assert all(type(f.default) in (int, float, str, bool, tuple) for f in fields)


def test_features_are_a_tree():
    doubled = jax.tree.map(lambda x: 2 * x, Features(jnp.ones((2, 3)), None, jnp.ones((2, 4))))
    assert float(doubled.pooled.sum()) == 12 and doubled.tokens is None


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: tiny_vit(pool="clss"), ["ViT.pool", "clss", "'cls'"]),
        (lambda: tiny_vit(stem="path"), ["ViT.stem", "'patch'"]),
        (lambda: tiny_vit(position="sincos"), ["ViT.position", "sincos2d"]),
        (lambda: tiny_vit(act="quickgelu"), ["ViT.act", "quick_gelu"]),
        (lambda: tiny_vit(norm="layr"), ["ViT.norm", "'layer'"]),
        (lambda: tiny_vit(remat="fulll"), ["ViT.remat", "'full'"]),
        (lambda: tiny_vit(dtype="float16"), ["ViT.dtype", "bfloat16"]),
        (lambda: tiny_vit(heads=3), ["ViT.width 16", "heads 3"]),
        (lambda: tiny_vit(width=0), ["ViT.width 0"]),
        (lambda: tiny_vit(dropout=1.0), ["ViT.dropout", "below 1"]),
        (lambda: tiny_vit(patch_dropout=-0.1), ["ViT.patch_dropout"]),
        (lambda: tiny_vit(image_size=20), ["ViT.image_size 20", "patch_size 8", "16"]),
        (lambda: tiny_vit(stem="conv", patch_size=12, image_size=24), ["patches of 12", "power of two"]),
        (lambda: tiny_vit(stem="merge", patch_size=6, image_size=24), ["patch_size 6"]),
        (lambda: tiny_vit(width=18, position="sincos2d"), ["ViT.width 18", "sincos2d"]),
        (lambda: tiny_vit(channels=1), ["ViT.mean", "1 channels"]),
        (lambda: tiny_vit(depth=-1), ["depth -1"]),
        (lambda: tiny_text(pool="clss"), ["TextTransformer.pool"]),
        (lambda: tiny_text(eot_id=30), ["eot_id 30", "30"]),
        (lambda: params_of(tiny_vit(), images(2, 16, 20)), ["(2, 16, 20, 3)", "patch_size 8"]),
        (lambda: params_of(tiny_vit(), images(2, channels=1)), ["(2, 16, 16, 1)", "channels 3"]),
        (lambda: params_of(tiny_text(), texts(2, 8)), ["(2, 8)", "context 7"]),
        (lambda: params_of(tiny_text(), images(2)[0, :, :7, 0]), ["float32", "integer ids"]),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(UserError) as error:
        make()
    assert all(word in str(error.value) for word in words), str(error.value)
