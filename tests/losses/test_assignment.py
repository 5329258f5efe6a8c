"""Sinkhorn and the swapped prediction: by hand, by plain numpy, by the released code's formula, and in their limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mmjax.losses import sinkhorn, swapped_prediction
from tests.losses.properties import OF_EVERY_LOSS, PRESENT, Case, normal_rows, waves


def sinkhorn_reference(scores, present, epsilon, iterations):
    """Algorithm 1 of the paper with the sums of columns and rows in turn; rows of absent samples left out."""
    there = np.flatnonzero(present)
    q = np.exp(scores[there] / epsilon)
    for _ in range(iterations):
        for k in range(q.shape[1]):
            q[:, k] /= sum(q[:, k]) * q.shape[1]
        for i in range(len(q)):
            q[i] /= sum(q[i]) * len(q)
    full = np.zeros(scores.shape)
    full[there] = q * len(q)
    return full


def swapped_reference(x, y, x_present, y_present, x_target, y_target, temperature, epsilon, iterations):
    q = [sinkhorn_reference(s, p, epsilon, iterations) for s, p in ((x_target, x_present), (y_target, y_present))]
    losses = []
    for i in np.flatnonzero(x_present & y_present):
        for scores, target in ((x[i], q[1][i]), (y[i], q[0][i])):
            p = np.exp(scores / temperature)
            losses.append(-sum(target * np.log(p / sum(p))))
    return np.mean(losses)


CASES = {
    "swapped": Case(
        lambda x, y, p, q, rows: swapped_prediction(x, y, iterations=2, epsilon=0.6, x_present=p, y_present=q),
        lambda *views: swapped_reference(*views, temperature=0.1, epsilon=0.6, iterations=2),
        unit=False,
        stops=True,
    ),
}


@pytest.mark.parametrize("holds", OF_EVERY_LOSS)
@pytest.mark.parametrize("name", CASES)
def test_properties(name, holds):
    holds(CASES[name])


def test_by_hand():
    # exp(scores / eps) = [[3, 1], [1, 1]]: prototypes' sums 4, 2: [[3/4, 1/2], [1/4, 1/2]], then each row to one.
    scores = jnp.log(jnp.array([[3.0, 1.0], [1.0, 1.0]])) * 0.5
    np.testing.assert_allclose(sinkhorn(scores, epsilon=0.5, iterations=1), [[0.6, 0.4], [1 / 3, 2 / 3]], rtol=1e-6)
    # Two samples with a prototype each: q is one-hot, -log softmax([1, 0] / .5) = log(1 + e^-2).
    got = swapped_prediction(jnp.eye(2), jnp.eye(2), temperature=0.5, epsilon=0.01)
    assert got == pytest.approx(np.log1p(np.exp(-2.0)), rel=1e-6)


def test_sinkhorn_equals_numpy():
    scores = normal_rows(0)
    for present in (np.ones(8, bool), PRESENT[0]):
        got = jax.jit(lambda s, p: sinkhorn(s, epsilon=0.3, present=p))(jnp.asarray(scores, jnp.float32), present)
        np.testing.assert_allclose(got, sinkhorn_reference(scores, present, 0.3, 3), rtol=1e-5, atol=1e-7)


def test_released_formula():
    """Made once in float64 torch: SwAV's `distributed_sinkhorn` (.05, 3) and halved loss (.1), restated."""
    x, y = waves()
    q = sinkhorn(x)
    np.testing.assert_allclose(q[0], [0.98265441, 2.03592603e-12, 0.01734558902, 1.538653e-12], rtol=2e-5)
    np.testing.assert_allclose(jnp.sum(q, axis=0), [2.4016094, 1.57176675, 1.0195122, 1.00711155], rtol=1e-5)
    assert swapped_prediction(x, y) == pytest.approx(1.0814786416339144, rel=1e-5)


def test_rows_sum_to_one_and_prototypes_are_used_alike_in_the_limit():
    scores = jnp.asarray(normal_rows(1, (32, 4)), jnp.float32)
    few, many = sinkhorn(scores, epsilon=0.5), sinkhorn(scores, epsilon=0.5, iterations=60)
    for q in (few, many):
        np.testing.assert_allclose(jnp.sum(q, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(jnp.sum(many, axis=0), 32 / 4, rtol=1e-5)
    spread = np.abs(jnp.sum(few, axis=0) - 8).max()
    assert 1e-4 < spread < np.abs(jnp.sum(jax.nn.softmax(scores / 0.5), axis=0) - 8).max()


def test_a_prototype_that_all_prefer_does_not_take_all():
    """A softmax would send every sample to prototype 0; the assignments undo what all samples have in common."""
    scores = jnp.asarray(normal_rows(2, (16, 4)), jnp.float32)
    shifted = scores + 50 * jnp.eye(4)[:1]
    np.testing.assert_allclose(sinkhorn(shifted, epsilon=0.5), sinkhorn(scores, epsilon=0.5), rtol=1e-3, atol=1e-6)


def test_scores_that_would_overflow_an_exponential():
    """exp(400 / .05) is infinite even in float64; a prototype for each two samples stays the answer."""
    scores = 400 * jnp.eye(2)[jnp.array([0, 0, 1, 1])]
    np.testing.assert_allclose(sinkhorn(scores), scores / 400, atol=1e-6)
    loss, gradient = jax.value_and_grad(swapped_prediction)(scores, scores)
    assert loss == pytest.approx(0, abs=1e-6) and np.isfinite(gradient).all()


def test_no_sample_at_all_gives_rows_of_zeros_and_finite_gradients():
    weights = jnp.asarray(normal_rows(6), jnp.float32)
    value, gradient = jax.jit(jax.value_and_grad(lambda s, p: jnp.sum(weights * sinkhorn(s, present=p))))(
        weights, jnp.zeros(8, bool)
    )
    assert value == 0 and not gradient.any()


def test_absent_samples_have_rows_of_zeros_and_no_share():
    scores = jnp.asarray(normal_rows(3), jnp.float32)
    present = PRESENT[0]
    emptied = jnp.where(present[:, None], scores, jnp.nan)
    q = sinkhorn(emptied, present=jnp.asarray(present))
    assert not q[~present].any()
    np.testing.assert_allclose(q[present], sinkhorn(scores[present]), rtol=1e-5, atol=1e-7)


def test_sharding_the_batch_changes_no_assignment():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    scores = jnp.asarray(normal_rows(4, (16, 5)), jnp.float32)
    placed = jax.device_put(scores, NamedSharding(mesh, PartitionSpec("data")))
    np.testing.assert_allclose(jax.jit(sinkhorn)(placed), jax.jit(sinkhorn)(scores), rtol=1e-5, atol=1e-7)


def test_views_exchanged_are_the_same_loss():
    x, y = waves()
    assert swapped_prediction(x, y) == pytest.approx(float(swapped_prediction(y, x)), rel=1e-6)


def test_bfloat16_scores_are_normalised_in_float32():
    q = sinkhorn(jnp.asarray(normal_rows(5), jnp.bfloat16))
    assert q.dtype == jnp.float32
    np.testing.assert_allclose(jnp.sum(q, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    "misuse, message",
    [
        (lambda s: sinkhorn(s, epsilon=0), "epsilon is 0: give a number above 0"),
        (lambda s: sinkhorn(s, iterations=0), "iterations is 0: give a number above 0"),
        (lambda s: sinkhorn(s[0]), r"scores is float32 \(2,\): give floating"),
        (lambda s: sinkhorn(s, present=jnp.ones(2, bool)), r"present \(2,\) must be \(3,\)"),
        (lambda s: swapped_prediction(s, s, temperature=-0.1), "temperature is -0.1: give a number above 0"),
        (lambda s: swapped_prediction(s, s, epsilon=-1), "epsilon is -1: give a number above 0"),
        (lambda s: swapped_prediction(s, s[1:]), r"x_scores \(3, 2\) and y_scores \(2, 2\) must have the same shape"),
        (lambda s: swapped_prediction(s, s, y_present=jnp.ones(2, bool)), r"y_present \(2,\) must be \(3,\)"),
    ],
)
def test_misuse(misuse, message):
    with pytest.raises(ValueError, match=message):
        misuse(jnp.ones((3, 2)))
