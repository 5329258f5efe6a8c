"""BYOL and SimSiam: by hand, by plain numpy, by the released code's formula, and what takes no gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import byol, simsiam
from tests.losses.properties import OF_EVERY_LOSS, Case, normal_rows, waves


def cosine(a, b):
    return sum(a * b) / np.sqrt(sum(a * a) * sum(b * b))


def byol_reference(x, y, x_present, y_present, x_target, y_target):
    return np.mean([2 - 2 * cosine(x[i], y_target[i]) for i in np.flatnonzero(x_present & y_present)])


def simsiam_reference(x, y, x_present, y_present, x_target, y_target):
    """The projections, which as targets stay fixed, are the predictions with their dimensions in reverse."""
    losses = []
    for i in np.flatnonzero(x_present & y_present):
        losses.append(-cosine(x[i], y_target[i, ::-1]) / 2 - cosine(y[i], x_target[i, ::-1]) / 2)
    return np.mean(losses)


CASES = {
    "byol": Case(
        lambda x, y, p, q, rows: byol(x, y, present=None if p is None else p & q),
        byol_reference,
        unit=False,
        stops=True,
    ),
    "simsiam": Case(
        lambda x, y, p, q, rows: simsiam(x, y, x[:, ::-1], y[:, ::-1], present=None if p is None else p & q),
        simsiam_reference,
        unit=False,
        stops=True,
    ),
}


@pytest.mark.parametrize("holds", OF_EVERY_LOSS)
@pytest.mark.parametrize("name", CASES)
def test_properties(name, holds):
    holds(CASES[name])


def test_by_hand():
    prediction = jnp.array([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    target = jnp.array([[5.0, 0.0], [0.0, -1.0], [2.0, 0.0]])
    # Cosines 1, -1 and 1/sqrt 2.
    assert byol(prediction, target) == pytest.approx((0 + 4 + 2 - np.sqrt(2)) / 3, rel=1e-6)
    both = simsiam(prediction, prediction, prediction, target)
    assert both == pytest.approx(-(np.sqrt(0.5) / 3 + 1) / 2, rel=1e-6)


def test_released_formula():
    """Made once in float64 torch: SimSiam's criterion restated, and BYOL's 2 - 2 cos of `F.normalize`d rows."""
    x, y = waves()
    assert simsiam(x, y, x[::-1], y[:, ::-1]) == pytest.approx(0.23849630600382615, rel=2e-6)
    assert byol(x, y[:, ::-1]) == pytest.approx(2.6023095890448484, rel=2e-6)


def test_targets_take_no_gradient_and_predictions_do():
    x, y = waves()
    to_prediction, to_target = jax.grad(byol, (0, 1))(x, y)
    assert np.abs(to_prediction).max() > 0.01 and not to_target.any()
    gradients = jax.grad(simsiam, (0, 1, 2, 3))(x, y, y[::-1], x[::-1])
    assert [bool(g.any()) for g in gradients] == [True, True, False, False]


def test_each_view_predicts_the_other():
    """Turning x's prediction changes the loss by its cosine with y's projection, not with its own."""
    x, y = waves()
    loss = simsiam(y, x, x, y)  # predictions that are the other view's projection
    assert loss == pytest.approx(-1, rel=1e-6)
    assert float(simsiam(x, y, x, y)) > -0.99


def test_length_of_rows_does_not_count():
    x, y = waves()
    assert byol(1e4 * x, 1e-4 * y) == pytest.approx(float(byol(x, y)), rel=2e-6)


def test_rows_of_zeros_are_orthogonal_to_all_with_finite_gradients():
    x = jnp.asarray(normal_rows(0), jnp.float32).at[3].set(0)
    y = jnp.asarray(normal_rows(1), jnp.float32).at[5].set(0)
    losses, gradient = jax.vmap(jax.value_and_grad(lambda x, y: byol(x[None], y[None])))(x, y)
    assert losses[3] == 2 and losses[5] == 2
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "misuse, message",
    [
        (lambda x: byol(x, x[1:]), r"prediction \(3, 2\) and target \(2, 2\) must have the same shape"),
        (lambda x: byol(x, x[:, 1:]), r"prediction \(3, 2\) and target \(3, 1\) must have the same shape"),
        (lambda x: byol(x, x, present=jnp.ones(2, bool)), r"present \(2,\) must be \(3,\)"),
        (lambda x: byol(x, x, present=jnp.ones(3)), "present is float32: give booleans"),
        (lambda x: simsiam(x, x, x[1:], x), r"x_prediction \(3, 2\) and x_projection \(2, 2\) must have the same"),
        (lambda x: simsiam(x, x, x, x.at[2].set(jnp.nan)), r"row 2 of y_projection \(3, 2\) is not finite"),
        (lambda x: byol(x.astype(int), x), r"prediction is int32 \(3, 2\): give floating"),
    ],
)
def test_misuse(misuse, message):
    with pytest.raises(ValueError, match=message):
        misuse(jnp.ones((3, 2)))
