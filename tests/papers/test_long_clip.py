"""Long-CLIP: positions stretched, the first of them frozen, short captions against principal components."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import config as c
from mmjax.encoders import Features, TextTransformer
from mmjax.encoders.positions import stretch_positions
from mmjax.errors import UserError
from mmjax.losses import principal_components, softmax_contrastive
from mmjax.objectives import OBJECTIVES
from tests.papers.running import check_mesh, config_of, run


def rows(seed, n=12, d=6, scales=(3, 2, 1.5, 1, 0.5, 0.2)):
    return (np.random.default_rng(seed).normal(size=(n, d)) * np.array(scales[:d])).astype(np.float32)


def by_svd(x, k):
    mean = x.mean(0)
    directions = np.linalg.svd(x - mean)[2][:k]
    return (x - mean) @ directions.T @ directions + mean


def stretched_by_hand(old, k=20):
    """Row by row, as in the paper's released code; the last rows go on along the last line."""
    length = len(old)
    new = np.zeros((4 * length - 3 * k, old.shape[1]))
    new[:k] = old[:k]
    for i in range(length - k):
        left = min(i, length - 2 - k)
        for j in range(4):
            share = j / 4 + (i - left)
            new[k + 4 * i + j] = (1 - share) * old[k + left] + share * old[k + left + 1]
    return new


def test_positions_as_the_paper_stretches_them():
    old = np.random.default_rng(0).normal(size=(77, 5)).astype(np.float32)
    new = np.asarray(stretch_positions(jnp.asarray(old)))
    assert new.shape == (248, 5)
    np.testing.assert_allclose(new, stretched_by_hand(old), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(new[:20], old[:20])
    np.testing.assert_array_equal(new[20::4], old[20:])


def test_a_line_stays_a_line_of_a_quarter_of_its_slope():
    line = 3.0 + 2.0 * np.arange(77, dtype=np.float32)[:, None]
    np.testing.assert_allclose(np.diff(stretch_positions(jnp.asarray(line))[20:, 0]), 0.5, rtol=1e-5)


def test_frozen_positions_get_no_gradient():
    encoder = TextTransformer(vocab_size=16, context=12, width=8, depth=1, heads=2, pool="mean", frozen_positions=5)
    ids = jnp.asarray([[3, 4, 5, 6, 7, 8, 9, 2]])
    params = encoder.init(jax.random.key(0), ids)["params"]
    gradient = jax.grad(lambda p: jnp.sum(encoder.apply({"params": p}, ids).pooled ** 3))(params)["position_embedding"]
    assert np.all(gradient[:5] == 0) and np.all(np.abs(gradient[5:8]).max(1) > 0)
    with pytest.raises(UserError, match="frozen_positions 13 of 12"):
        TextTransformer(vocab_size=16, context=12, pool="mean", frozen_positions=13)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_principal_components_are_those_of_the_svd(k):
    x = rows(0)
    np.testing.assert_allclose(principal_components(jnp.asarray(x), k), by_svd(x, k), rtol=1e-4, atol=1e-5)


def test_a_batch_of_low_rank_stays_what_it_is():
    x = rows(1, 12, 2) @ rows(2, 2, 6) + 1.0
    for components in (2, 4, 6, 9):
        np.testing.assert_allclose(principal_components(jnp.asarray(x), components), x, rtol=1e-4, atol=1e-4)


def test_gradient_is_that_through_the_eigenvectors():
    weights = rows(3)

    def through_eigh(x, k):
        mean = jnp.mean(x, axis=0, keepdims=True)
        vectors = jnp.linalg.eigh((x - mean).T @ (x - mean))[1][:, -k:]
        return (x - mean) @ vectors @ vectors.T + mean

    for k in (1, 3):
        ours, other = (
            jax.grad(lambda x, f=f, k=k: jnp.sum(jnp.sin(f(x, k)) * weights))(jnp.asarray(rows(4)))
            for f in (principal_components, through_eigh)
        )
        np.testing.assert_allclose(ours, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "x", [np.zeros((8, 6)), np.ones((8, 6)), np.repeat(np.eye(6), 2, 0), np.eye(6)[:1]], ids=["0", "1", "equal", "one"]
)
def test_gradient_is_finite_where_components_are_not_told_apart(x):
    loss = lambda x: jnp.sum(principal_components(x, 2) * rows(5, len(x)))  # noqa: E731
    assert np.all(np.isfinite(jax.grad(loss)(jnp.asarray(x, jnp.float32))))


def test_absent_rows_have_no_part():
    x, there = rows(6), np.arange(12) % 3 != 0
    dirty = jnp.where(there[:, None], x, jnp.nan)
    loss = lambda x: principal_components(x, 3, present=jnp.asarray(there))  # noqa: E731
    np.testing.assert_allclose(loss(dirty)[there], by_svd(x[there], 3), rtol=1e-4, atol=1e-5)
    gradient = jax.grad(lambda x: jnp.sum(loss(x) ** 3))(dirty)
    assert np.all(gradient[~there] == 0) and np.all(np.isfinite(gradient))
    with pytest.raises(ValueError, match="components is 0"):
        principal_components(jnp.asarray(x), 0)


def unit(seed):
    x = np.random.default_rng(seed).normal(size=(8, 6)).astype(np.float32)
    return jnp.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def test_the_objective_is_the_sum_of_both_losses_at_one_scale():
    vectors = dict(zip(("image", "text", "text_2"), map(unit, range(3)), strict=True))
    features = {k: Features(v) for k, v in vectors.items()}
    objective = OBJECTIVES["long_text"](components=2, short_weight=0.5, label_smoothing=0.1, temperature=0.5)
    params = objective.init(jax.random.key(0), features, {}, train=True)["params"]
    assert list(params) == ["logit_scale"]
    loss, _ = objective.apply({"params": params}, features, {}, train=True)
    part = functools.partial(softmax_contrastive, scale=2.0, label_smoothing=0.1)
    coarse = jnp.asarray(by_svd(np.asarray(vectors["image"]), 2))
    expected = part(vectors["image"], vectors["text"]) + 0.5 * part(coarse, vectors["text_2"])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.slow
def test_the_same_on_any_mesh():
    changes = {"batch_size": 16, "embed_dim": 16, "towers.image.width": 16, "towers.text.width": 16}
    check_mesh(config_of("long_clip", **changes, **{"objectives.long_text.components": 4}))


def test_full_recipe():
    config = config_of("long_clip", "full")
    c.validate(config)
    assert config.batch_size == 2048 and config.towers.text.context == config.data.context == 248


@pytest.mark.slow
@pytest.mark.claim
def test_short_captions_beside_long_ones(tmp_path):
    """R@1 of labels for 373 pictures, chance 0.003: with short captions in training and without."""
    key = "val/short/image_to_text_R@1"
    whole, long = (run("long_clip", arm, workdir=tmp_path / arm)[key] for arm in ("whole", "long"))
    assert whole > long + 0.02 and long > 0.15
