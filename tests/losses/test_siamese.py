"""BYOL: by hand, by plain numpy, by the released code's formula, and what takes no gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import byol
from tests.losses.properties import OF_EVERY_LOSS, Case, normal_rows, waves


def cosine(a, b):
    return sum(a * b) / np.sqrt(sum(a * a) * sum(b * b))


def byol_reference(x, y, x_present, y_present, x_target, y_target):
    return np.mean([2 - 2 * cosine(x[i], y_target[i]) for i in np.flatnonzero(x_present & y_present)])


CASES = {
    "byol": Case(
        lambda x, y, p, q, rows: byol(x, y, present=None if p is None else p & q),
        byol_reference,
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


def test_released_formula():
    """Made once in float64 torch: 2 - 2 cos of `F.normalize`d rows."""
    x, y = waves()
    assert byol(x, y[:, ::-1]) == pytest.approx(2.6023095890448484, rel=2e-6)


def test_targets_take_no_gradient_and_predictions_do():
    x, y = waves()
    to_prediction, to_target = jax.grad(byol, (0, 1))(x, y)
    assert np.abs(to_prediction).max() > 0.01 and not to_target.any()


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
        (lambda x: byol(x, x.at[2].set(jnp.nan)), r"row 2 of target \(3, 2\) is not finite"),
        (lambda x: byol(x.astype(int), x), r"prediction is int32 \(3, 2\): give floating"),
    ],
)
def test_misuse(misuse, message):
    with pytest.raises(ValueError, match=message):
        misuse(jnp.ones((3, 2)))
