"""HBI: interactions of token pairs, merged tokens, distillation between levels."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.losses import tokens
from mmjax.losses.tokens_banzhaf import (
    banzhaf_interactions,
    every_coalition,
    interaction_divergence,
    random_coalitions,
)
from mmjax.losses.tokens_levels import level_distillation
from mmjax.losses.tokens_merge import merge_tokens
from mmjax.losses.tokens_scores import WeightedMaxSimilarity
from mmjax.objectives import build_objective
from tests.papers import token_cases
from tests.papers.running import check_mesh, config_of, run
from tests.papers.token_cases import unit

SCORE = WeightedMaxSimilarity()


def value(z, a, b, xs, ys):
    """The similarity of the tokens in a coalition, in plain numpy."""
    if not xs or not ys:
        return 0.0
    z, a, b = z[np.ix_(xs, ys)], np.exp(a[list(xs)]), np.exp(b[list(ys)])
    return (a / a.sum() @ z.max(1) + b / b.sum() @ z.max(0)) / 2


def by_hand(z, a, b):
    """Interactions over all coalitions of the other tokens."""
    found = np.zeros(z.shape)
    for t, v in np.ndindex(z.shape):
        others = [("x", i) for i in range(z.shape[0]) if i != t] + [("y", j) for j in range(z.shape[1]) if j != v]
        total = []
        for size in range(len(others) + 1):
            for chosen in itertools.combinations(others, size):
                xs, ys = (sorted(i for side, i in chosen if side == s) for s in "xy")
                with_t, with_v = sorted([*xs, t]), sorted([*ys, v])
                total.append(value(z, a, b, with_t, with_v) + value(z, a, b, xs, ys))
                total[-1] -= value(z, a, b, with_t, ys) + value(z, a, b, xs, with_v)
        found[t, v] = np.mean(total)
    return found


def sample(seed=0, shape=(2, 3, 3)):
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.2, 0.6, shape), rng.normal(size=shape[:2]), rng.normal(size=(shape[0], shape[2]))


def interactions(z, a, b, coalitions, x_mask=None, y_mask=None):
    masks = [np.ones(w.shape, bool) if m is None else m for w, m in ((a, x_mask), (b, y_mask))]
    arrays = [jnp.asarray(array, jnp.float32) for array in (z, a, b)]
    return np.asarray(banzhaf_interactions(*arrays, *map(jnp.asarray, masks), coalitions))


def test_interactions_over_all_coalitions():
    z, a, b = sample()
    got = interactions(z, a, b, every_coalition(6))
    np.testing.assert_allclose(got, [by_hand(*row) for row in zip(z, a, b, strict=True)], atol=1e-6)


def test_padding_takes_no_part():
    z, a, b = sample(1, (1, 3, 3))
    mask = np.array([[True, True, False]])
    got = interactions(z, a, b, every_coalition(6), y_mask=mask)
    np.testing.assert_allclose(got[0, :, :2], by_hand(z[0, :, :2], a[0], b[0, :2]), atol=1e-6)
    assert not got[0, :, 2].any()


def test_random_coalitions_estimate_it():
    z, a, b = sample(2)
    got = interactions(z, a, b, random_coalitions(jax.random.key(0), 1000, 6))
    np.testing.assert_allclose(got, [by_hand(*row) for row in zip(z, a, b, strict=True)], atol=0.03)


def test_tokens_that_only_match_each_other_interact_and_strangers_do_not():
    matched = np.eye(2)[None] * 0.8
    found = interactions(matched, np.zeros((1, 2)), np.zeros((1, 2)), every_coalition(4))[0]
    assert min(found[0, 0], found[1, 1]) > 0.1 > max(found[0, 1], found[1, 0])
    assert not interactions(np.zeros((1, 2, 2)), np.zeros((1, 2)), np.zeros((1, 2)), every_coalition(4)).any()


def test_divergence_is_zero_for_the_true_interactions_alone():
    true, there = jnp.asarray(sample()[0], jnp.float32), jnp.ones((2, 3), bool)
    assert abs(interaction_divergence(true, true, there, there)) < 1e-6
    assert interaction_divergence(-true, true, there, there) > 0.01
    nobody = jnp.zeros((2, 3), bool)
    value, gradient = jax.value_and_grad(lambda p: interaction_divergence(p, true, nobody, nobody))(true)
    assert value == 0 and not gradient.any()
    finite = jax.grad(lambda p: interaction_divergence(p, true, there.at[0, 1].set(False), there))(true)
    assert np.isfinite(finite).all()


def test_merged_tokens_by_hand():
    """Two places, three and two tokens of them: two clusters, the first a mean weighted by exp(score)."""
    places = np.array([[0.0, 0], [0.1, 0], [0.2, 0], [5, 5], [5, 5.1]])
    scores = jnp.log(jnp.array([[1.0, 2, 1, 1, 3]]))
    merged, mask = merge_tokens(jnp.asarray(places[None], jnp.float32), jnp.ones((1, 5), bool), scores, 2, neighbours=2)
    expected = sorted([[0.1, 0], [5, 5.075]])
    np.testing.assert_allclose(sorted(np.asarray(merged[0]).tolist()), expected, atol=1e-6)
    assert mask.all()


def test_merging_keeps_few_tokens_and_leaves_padding_out():
    x, mask = unit(0, 2, 4, 3), jnp.array([[True, False, True, False], [False] * 4])
    merged, kept = merge_tokens(x.at[0, 1].set(jnp.nan), mask, jnp.zeros((2, 4)), 3)
    assert kept.sum(1).tolist() == [2, 0]
    rows = np.asarray(merged[0])[np.asarray(kept[0])]
    np.testing.assert_allclose(sorted(rows.tolist()), sorted(np.asarray(x[0, [0, 2]]).tolist()), rtol=1e-6)
    all_alike, kept = merge_tokens(jnp.ones((1, 4, 3)), jnp.ones((1, 4), bool), jnp.zeros((1, 4)), 2)
    assert np.isfinite(all_alike).all() and kept.any()
    with pytest.raises(ValueError, match="4 tokens cannot be merged into 5"):
        merge_tokens(x, mask, jnp.zeros((2, 4)), 5)


def test_merging_has_a_gradient_in_tokens_and_scores():
    x, scores = unit(0, 2, 5, 3), jnp.zeros((2, 5))
    total = lambda x, s: jnp.sum(jnp.sin(merge_tokens(x, jnp.ones((2, 5), bool), s, 2)[0]))  # noqa: E731
    gradients = jax.grad(total, (0, 1))(x, scores)
    assert all(np.isfinite(g).all() and g.any() for g in gradients)


def levels(score=SCORE):
    """Prepared rows of two levels and their parameters."""
    first = jax.tree.map(lambda p: p + 0.3, score.init(jax.random.key(0), token_cases.WIDTH))
    second = jax.tree.map(lambda p: p - 0.2, first)
    return token_cases.prepared(score, first), token_cases.prepared(score, second), first, second


def distilled(impl):
    (tx, ty), (x, y), teacher, params = levels()

    def loss(values, scale, params):
        a, b = (side._replace(values=v) for side, v in zip((x, y), values, strict=True))
        return level_distillation(a, b, tx, ty, scale, score=SCORE, params=params, teacher=teacher, impl=impl)

    return jax.device_get(jax.value_and_grad(loss, (0, 1, 2))((x.values, y.values), jnp.float32(5.0), params))


def test_distillation_is_a_cross_entropy(monkeypatch):
    (tx, ty), (x, y), _, _ = levels()
    monkeypatch.setattr(tokens, "TILE_NUMBERS", 9 * 24)
    keep = np.asarray(token_cases.X_PRESENT)[:, None] & np.asarray(token_cases.Y_PRESENT)[None]
    student, teacher = (
        np.where(keep, 5 * np.asarray(SCORE(*s, {})[0], np.float64), -np.inf) for s in ((x, y), (tx, ty))
    )
    losses = []
    for axis in (1, 0):
        log_p = student - np.log(np.exp(student).sum(axis, keepdims=True), where=keep, out=np.zeros(keep.shape))
        goal = np.exp(teacher) / np.maximum(np.exp(teacher).sum(axis, keepdims=True), 1e-300)
        losses.append(-np.sum(np.where(keep, goal * np.where(keep, log_p, 0), 0)) / keep.any(axis).sum())
    expected = distilled("dense")
    np.testing.assert_allclose(expected[0], np.mean(losses), rtol=1e-5)
    token_cases.assert_equal(distilled("blockwise"), expected)


def test_bad_options():
    features = {}
    for name, count in (("series_tokens", 6), ("text_tokens", 4)):
        features[name] = token_cases.features(unit(0, 2, 4), unit(1, 2, count, 4))
    for changes, said in (
        ({"levels": ((7, 2),)}, r"level \(7, 2\) after \(6, 4\) tokens"),
        ({"levels": ((3,),)}, r"level \(3,\)"),
    ):
        config = config_of("hbi", **{f"objectives.hbi.{k}": v for k, v in changes.items()})
        rngs = {"params": jax.random.key(0), "objective": jax.random.key(1)}
        with pytest.raises(UserError, match=said):
            jax.eval_shape(lambda c=config, r=rngs: build_objective(c, 0).init(r, features, {}, train=True))


@pytest.mark.slow
def test_a_mesh_and_microbatches_change_nothing():
    changes = {"levels": ((2, 2),), "coalitions": 4, "width": 2}
    check_mesh(config_of("hbi", batch_size=16, **{f"objectives.hbi.{k}": v for k, v in changes.items()}))


@pytest.mark.slow
@pytest.mark.claim
def test_levels_and_interactions_retrieve(tmp_path):
    assert run("hbi", workdir=tmp_path)["val/test/series_to_text_R@1"] > 0.25  # chance 0.002
