"""SwAV: the multi-crop loss against loops, its limits, the queue, frozen prototypes, meshes, the claim."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.losses import sinkhorn, swapped_crops, swapped_prediction
from mmjax.objectives.swav import SwAV, perplexity
from mmjax.training.history import read_history
from tests.papers.running import check_mesh, config_of, run


def some_scores(seed=0, views=4, rows=6, prototypes=5):
    return list(jnp.asarray(np.random.default_rng(seed).normal(size=(views, rows, prototypes)), jnp.float32))


def loops(scores, assigned, temperature, epsilon):
    """The loss written out in float64; assignments by alternating exact normalisations of exp(scores / epsilon)."""
    scores, terms = [np.asarray(z, np.float64) for z in scores], []
    for a in range(assigned):
        q = np.exp(scores[a] / epsilon)
        for _ in range(3):
            q /= q.sum(0, keepdims=True)
            q /= q.sum(1, keepdims=True)
        for v, z in enumerate(scores):
            if v != a:
                p = np.exp(z / temperature) / np.exp(z / temperature).sum(1, keepdims=True)
                terms.append(np.mean([-sum(q[i] * np.log(p[i])) for i in range(len(q))]))
    return np.mean(terms)


@pytest.mark.parametrize(("views", "assigned"), [(2, 2), (4, 2), (3, 1)])
def test_against_loops(views, assigned):
    scores = some_scores(views=views)
    loss = swapped_crops(scores, assigned=assigned, temperature=0.3, epsilon=0.2)
    np.testing.assert_allclose(loss, loops(scores, assigned, 0.3, 0.2), rtol=1e-5)


def test_two_views_are_swapped_prediction_with_missing_ones_too():
    x, y = some_scores(1, views=2)
    there = jnp.arange(6) != 3
    np.testing.assert_allclose(swapped_crops([x, y]), swapped_prediction(x, y), rtol=1e-6)
    dirty = jnp.where(there[:, None], y, jnp.nan)
    value, gradient = jax.value_and_grad(lambda y: swapped_crops([x, y], present=[None, there]))(dirty)
    np.testing.assert_allclose(value, swapped_prediction(x, y, y_present=there), rtol=1e-6)
    assert np.all(gradient[3] == 0) and np.all(np.isfinite(gradient))


def test_prediction_carries_gradient_and_assignments_do_not():
    x, y = some_scores(2, views=2)
    alone = jax.grad(lambda x: swapped_crops([x, y], assigned=1))(x)
    np.testing.assert_array_equal(alone, jnp.zeros_like(x))
    assert np.any(jax.grad(lambda y: swapped_crops([x, y], assigned=1))(y) != 0)


def test_no_iterations_are_each_rows_own_softmax():
    x, y = some_scores(3, views=2)
    q = jax.nn.softmax(x / 0.05, axis=1)
    expected = -jnp.mean(jnp.sum(q * jax.nn.log_softmax(y / 0.1, axis=1), axis=1))
    np.testing.assert_allclose(swapped_crops([x, y], assigned=1, iterations=0), expected, rtol=1e-6)


def test_a_queue_evens_out_and_an_absent_one_changes_nothing():
    x, y = some_scores(4, views=2)
    queue = some_scores(5, views=1, rows=9)[0]
    plain = swapped_crops([x, y], assigned=1)
    assert swapped_crops([x, y], assigned=1, queues=[queue], queue_present=[jnp.zeros(9, bool)]) == plain
    q = sinkhorn(jnp.concatenate([x, queue]))[:6]
    expected = -jnp.mean(jnp.sum(q * jax.nn.log_softmax(y / 0.1, axis=1), axis=1))
    np.testing.assert_allclose(swapped_crops([x, y], assigned=1, queues=[queue]), expected, rtol=1e-6)
    assert abs(expected - plain) > 1e-3


def test_edges_and_misuse():
    same = jnp.ones((4, 3))
    value, gradient = jax.value_and_grad(lambda z: swapped_crops([z, z]))(same)
    assert value == pytest.approx(np.log(3)) and np.all(np.isfinite(gradient))
    assert np.isfinite(swapped_crops([100 * same[:1], -100 * same[:1]], epsilon=0.01))
    nobody = [jnp.zeros(4, bool), None]
    assert swapped_crops([same, same], present=nobody) == 0
    for said, call in (
        ("1 of 1 views", lambda: swapped_crops([same], assigned=1)),
        ("3 of 2 views", lambda: swapped_crops([same, same], assigned=3)),
        ("temperature is 0", lambda: swapped_crops([same, same], temperature=0)),
        ("epsilon is 0", lambda: swapped_crops([same, same], epsilon=0, iterations=0)),
        ("iterations is -1", lambda: swapped_crops([same, same], iterations=-1)),
        ("must have the same shape", lambda: swapped_crops([same, same[:3]])),
    ):
        with pytest.raises(ValueError, match=said):
            call()


def features_of(seed, rows=8, width=4):
    vectors = np.random.default_rng(seed).normal(size=(2, rows, width))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    return {name: Features(jnp.asarray(v, jnp.float32)) for name, v in zip(("image", "image_2"), vectors, strict=True)}


def steps_of(objective, count):
    """Losses and gradients of prototypes over some steps of the objective's state, with prototypes left as they are."""
    variables = objective.init(jax.random.key(0), features_of(0), {}, train=True)
    params, state, history = variables["params"], variables.get("state", {}), []

    @jax.jit
    def step(params, state, features):
        def loss(params):
            out, changed = objective.apply(
                {"params": params, "state": state}, features, {}, train=True, mutable=["state"]
            )
            return out[0], changed["state"]

        return jax.value_and_grad(loss, has_aux=True)(params)

    for n in range(count):
        (loss, state), gradient = step(params, state, features_of(n))
        history.append((float(loss), float(jnp.abs(gradient["prototypes"]).max())))
    return params, state, history


def test_prototypes_freeze_then_learn_and_stay_of_unit_norm():
    params, state, history = steps_of(SwAV(prototypes=5, frozen_steps=2), 4)
    assert [gradient > 0 for _, gradient in history] == [False, False, True, True] and state["steps"] == 4
    np.testing.assert_allclose(jnp.linalg.norm(params["prototypes"], axis=1), 1, rtol=1e-5)
    moved = SwAV().after_update({"prototypes": 3 * params["prototypes"]})["prototypes"]
    np.testing.assert_allclose(moved, params["prototypes"], rtol=1e-5)


def test_the_queue_holds_the_newest_first_and_counts_after_its_steps():
    _, state, queued = steps_of(SwAV(prototypes=5, queue=12, queue_steps=2), 4)
    newest, before = features_of(3), features_of(2)
    np.testing.assert_array_equal(state["queue"][0, :8], newest["image"].pooled)
    np.testing.assert_array_equal(state["queue"][1, 8:], before["image_2"].pooled[:4])
    plain = steps_of(SwAV(prototypes=5), 4)[2]
    assert [a[0] == pytest.approx(b[0], rel=1e-6) for a, b in zip(queued, plain, strict=True)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_missing_view_is_not_in_the_queue():
    """It is a row of zeros there, which takes no part, as one that is not filled yet."""
    objective, features = SwAV(prototypes=5, queue=16), features_of(0)
    there = jnp.arange(8) != 3
    dirty = features | {"image_2": Features(jnp.where(there[:, None], features["image_2"].pooled, 0.5))}
    variables = objective.init(jax.random.key(0), features, {}, train=True)
    _, changed = objective.apply(variables, dirty, {"image_2_present": there}, train=True, mutable="state")
    np.testing.assert_array_equal(jnp.any(changed["state"]["queue"] != 0, axis=2).sum(1), [8, 7])
    (loss, _), _ = objective.apply({**variables, **changed}, features_of(1), {}, train=True, mutable="state")
    scores, queues = (
        [f[name].pooled @ variables["params"]["prototypes"].T for name in ("image", "image_2")]
        for f in (features_of(1), features)
    )
    np.testing.assert_allclose(loss, swapped_crops(scores, queues=[queues[0], queues[1][there]]), rtol=1e-5)


def test_perplexity():
    assert perplexity(jnp.eye(4)) == pytest.approx(4)
    assert perplexity(jnp.tile(jnp.eye(4)[:1], (6, 1))) == pytest.approx(1)


def small(**changes):
    config = config_of("swav", batch_size=16, embed_dim=8, **changes)
    config.data.source += ",count=64"
    config.towers.vector.hidden = 8
    # Softer than the default, which multiplies the rounding of sums in another order by 20.
    soft = {"epsilon": 0.5, "temperature": 0.5}
    config.objectives.swav.update({"prototypes": 6, "queue": 24, "queue_steps": 1, "frozen_steps": 1} | soft)
    return config


@pytest.mark.slow
def test_on_meshes_and_micro_batches():
    check_mesh(small(), steps=3)


@pytest.mark.slow
def test_even_assignments_use_the_prototypes_and_a_softmax_does_not(tmp_path):
    """Perplexity of the nearest prototype over the last batch of 256, of 64 prototypes."""
    used = {}
    for arg in ("", "softmax"):
        run("swav", arg, workdir=tmp_path / (arg or "sinkhorn"))
        rows = read_history(tmp_path / (arg or "sinkhorn"))
        used[arg] = [row["train/prototype_perplexity"] for row in rows if "train/prototype_perplexity" in row][-1]
    assert used[""] > 40 and used["softmax"] < 16
