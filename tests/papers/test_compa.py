"""CompA: wrong captions of one sound alone, absent ones without effect, and a world in which order is a weak cue."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import config as c
from mmjax.data.sources import open_source
from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.losses import softmax_contrastive
from mmjax.objectives import OBJECTIVES
from tests.papers.running import check_mesh, config_of, run


def unit(seed, *shape):
    x = np.random.default_rng(seed).normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def log_sum(z):
    return np.log(np.sum(np.exp(z)))


def by_hand(x, y, hard, there, targets, scale):
    """Row by row in float64: absent candidates are not in the sums at all."""
    total = 0.0
    for i in range(len(x)):
        batch, own = scale * y @ x[i], scale * hard[i][there[i]] @ x[i]
        weights = targets[i][there[i]]
        score = (batch[i] + weights @ own) / (1 + weights.sum())
        total += log_sum(np.concatenate([batch, own])) - score
        total += log_sum(scale * x @ y[i]) - scale * x[i] @ y[i]
    return total / (2 * len(x))


THERE = np.array([[1, 1], [0, 1], [0, 0], [1, 0], [1, 1], [0, 1], [1, 1], [1, 1]], bool)


@pytest.mark.parametrize("impl", ["dense", "blockwise"])
def test_the_loss_by_hand(impl):
    x, y, hard = unit(0, 8, 5), unit(1, 8, 5), unit(2, 8, 2, 5)
    targets = np.random.default_rng(3).uniform(0, 1, (8, 2)).astype(np.float32)
    args = {"hard_negatives": jnp.asarray(hard), "hard_present": jnp.asarray(THERE)}
    arrays = [a.astype(np.float64) for a in (x, y, hard)]
    loss = functools.partial(softmax_contrastive, jnp.asarray(x), jnp.asarray(y), 7.0, impl=impl, **args)
    np.testing.assert_allclose(loss(), by_hand(*arrays, THERE, 0 * targets, 7.0), rtol=1e-5)
    soft = loss(hard_targets=jnp.asarray(targets))
    np.testing.assert_allclose(soft, by_hand(*arrays, THERE, targets, 7.0), rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_every_gradient_of_tiles_is_the_dense_one(smoothing):
    targets = jnp.asarray(np.random.default_rng(3).uniform(0, 1, (8, 2)), jnp.float32)

    def gradients(impl):
        def loss(x, y, hard, scale, targets):
            options = {"hard_present": jnp.asarray(THERE), "hard_targets": targets, "label_smoothing": smoothing}
            return softmax_contrastive(x, y, scale, hard_negatives=hard, impl=impl, **options)

        args = (*(jnp.asarray(unit(s, 8, *shape)) for s, shape in enumerate([(5,), (5,), (2, 5)])), jnp.float32(7))
        return jax.value_and_grad(loss, range(5))(*args, targets)

    for a, b in zip(jax.tree.leaves(gradients("dense")), jax.tree.leaves(gradients("blockwise")), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_wrong_captions_that_are_absent_have_no_part():
    x, y, hard = (jnp.asarray(a) for a in (unit(0, 8, 5), unit(1, 8, 5), unit(2, 8, 2, 5)))

    def loss(hard, there):
        return softmax_contrastive(x, y, 7.0, hard_negatives=hard, hard_present=there)

    nobody = jnp.zeros((8, 2), bool)
    np.testing.assert_allclose(loss(hard, nobody), softmax_contrastive(x, y, 7.0), rtol=1e-6)
    dirty = jnp.where(jnp.asarray(THERE)[..., None], hard, jnp.nan)
    value, gradient = jax.value_and_grad(loss)(dirty, jnp.asarray(THERE))
    assert np.isfinite(value) and np.all(gradient[~THERE] == 0) and np.all(np.isfinite(gradient))


def test_a_product_below_0_does_not_make_an_absent_candidate_a_large_one():
    """The released code multiplies the logits of captions to be ignored by -1e5, which turns negative ones into 1e5."""
    x, y = jnp.asarray(unit(0, 8, 5)), jnp.asarray(unit(1, 8, 5))
    opposite = softmax_contrastive(x, y, 7.0, hard_negatives=-x[:, None], hard_present=jnp.zeros((8, 1), bool))
    np.testing.assert_allclose(opposite, softmax_contrastive(x, y, 7.0), rtol=1e-6)


def test_one_row_and_aligned_pairs_have_finite_gradients():
    for x in (unit(0, 1, 5), np.tile(unit(0, 1, 5), (4, 1)), np.zeros((4, 5), np.float32)):
        grad = jax.grad(lambda x: softmax_contrastive(x, x, 50.0, hard_negatives=x[:, None]))(jnp.asarray(x))
        assert np.all(np.isfinite(grad))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hard_present": jnp.ones((8, 1), bool)}, "without hard_negatives"),
        ({"hard_negatives": jnp.ones((8, 2, 5)), "hard_targets": jnp.ones((8, 3))}, "hard_targets"),
        ({"hard_negatives": jnp.ones((8, 2, 5)), "hard_present": jnp.ones((8, 2))}, "give booleans"),
    ],
)
def test_misuse(given, said):
    with pytest.raises(ValueError, match=said):
        softmax_contrastive(jnp.asarray(unit(0, 8, 5)), jnp.asarray(unit(1, 8, 5)), 7.0, **given)


def test_the_objective_is_the_loss_with_its_streams():
    features = {
        name: Features(jnp.asarray(unit(s, 8, 5))) for s, name in enumerate(("image", "text", "text_2", "text_3"))
    }
    batch = {"text_3_present": jnp.asarray(THERE[:, 0])}
    objective = OBJECTIVES["hard_negatives"](negatives=("text_2", "text_3"), temperature=0.2)
    params = objective.init(jax.random.key(0), features, batch, train=True)["params"]
    loss, _ = objective.apply({"params": params}, features, batch, train=True)
    x, y, *hard = (np.asarray(f.pooled, np.float64) for f in features.values())
    there = np.stack([np.ones(8, bool), THERE[:, 0]], 1)
    np.testing.assert_allclose(loss, by_hand(x, y, np.stack(hard, 1), there, np.zeros((8, 2)), 5.0), rtol=1e-5)


def test_sounds_and_captions_of_the_toy_world():
    source = open_source("events:test,events=5,width=8,noise=0,count=50,sorted=1")
    sample, again = source[3], open_source("events:test,events=5,width=8,noise=0,count=50,sorted=1")[3]
    for stream in ("vector", "vector_2", "vector_3", "vector_4"):
        np.testing.assert_array_equal(sample[stream], again[stream])
        assert source.width(stream) == len(sample[stream]) == 8
    sounds, words, turn, said = source._world
    a, b = sample["json"]["first"], sample["json"]["second"]
    assert a < b and all(source[i]["json"]["first"] < source[i]["json"]["second"] for i in range(50))
    np.testing.assert_allclose(sample["vector"], sounds[a] + sounds[b] + 0.35 * sounds[a] @ turn, rtol=1e-5)
    np.testing.assert_allclose(sample["vector_3"], words[a] + words[b] + 0.35 * words[b] @ said, rtol=1e-5)
    np.testing.assert_allclose(turn @ turn.T, np.eye(8), atol=1e-9)
    for wrong in ("events:dev", "events:train,events=1", "events:train,sorted=2", "events:train,kinds=3"):
        with pytest.raises(UserError):
            open_source(wrong)


@pytest.mark.slow
def test_the_same_on_any_mesh():
    changes = {"batch_size": 16, "embed_dim": 8, "towers.audio.hidden": 16, "towers.text.hidden": 16}
    check_mesh(config_of("compa", **changes))


def test_full_recipe():
    config = config_of("compa", "full")
    c.validate(config)
    assert config.objectives.contrastive.kind == "hard_negatives" and "audio" in config.streams


@pytest.mark.slow
@pytest.mark.claim
def test_hard_negatives_teach_the_order(tmp_path):
    """Of sounds and captions of the same two events; measured over seeds: configs/papers/compa.py."""
    hard, vanilla = (run("compa", arg, workdir=tmp_path / (arg or "hard")) for arg in ("", "vanilla"))
    assert hard["val/order/group_score"] > vanilla["val/order/group_score"] + 0.2
    both = "val/test/vector_to_vector_2_R@1"
    assert hard[both] > vanilla[both] - 0.03
