"""Alignment and uniformity: by hand, by plain numpy, by the released code's formula, and in their limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import alignment, cross_uniformity, uniformity
from tests.losses.properties import OF_EVERY_LOSS, Case, unit_rows


def alignment_reference(x, y, x_present, y_present, alpha):
    pairs = np.flatnonzero(x_present & y_present)
    return np.mean([np.linalg.norm(x[i] - y[i]) ** alpha for i in pairs])


def uniformity_reference(x, y, x_present, y_present, t):
    pairs = [(i, j) for i in np.flatnonzero(x_present) for j in np.flatnonzero(y_present) if i != j]
    return np.log(np.mean([np.exp(-t * np.sum((x[i] - y[j]) ** 2)) for i, j in pairs]))


CASES = {
    "alignment 1.5": Case(
        lambda x, y, p, q, rows: alignment(x, y, alpha=1.5, x_present=p, y_present=q),
        lambda x, y, p, q: alignment_reference(x, y, p, q, 1.5),
    ),
    "uniformity": Case(
        lambda x, y, p, q, rows: uniformity(x, present=p),
        lambda x, y, p, q: uniformity_reference(x, x, p, p, 2),
    ),
    "cross uniformity": Case(
        lambda x, y, p, q, rows: cross_uniformity(x, y, t=3, x_present=p, y_present=q),
        lambda x, y, p, q: uniformity_reference(x, y, p, q, 3),
    ),
}


@pytest.mark.parametrize("holds", OF_EVERY_LOSS)
@pytest.mark.parametrize("name", CASES)
def test_properties(name, holds):
    holds(CASES[name])


def test_by_hand():
    x = jnp.eye(3)
    y = jnp.eye(3)[jnp.array([1, 1, 0])]
    # Distances of pairs: sqrt 2, 0, sqrt 2.
    assert alignment(x, y) == pytest.approx(4 / 3, rel=1e-6)
    assert alignment(x, y, alpha=1) == pytest.approx(2 * np.sqrt(2) / 3, rel=1e-6)
    # All pairs of axes are sqrt 2 apart.
    assert uniformity(x) == pytest.approx(-4, rel=1e-6)
    # Six pairs of different examples, two of them (x_0 y_1, x_0 y_2's first axis) coincide.
    assert cross_uniformity(x, y) == pytest.approx(np.log((2 + 4 * np.exp(-4)) / 6), rel=1e-6)


def test_released_formula():
    """Made once in float64 torch with Wang & Isola's `align_loss` and `uniform_loss` restated."""
    i, d = np.arange(6.0)[:, None], np.arange(4.0)[None]
    x = np.sin(1 + 2 * i + 3 * d + i * d)
    y = x + 0.5 * np.cos(i * (d + 1))
    x, y = (jnp.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), jnp.float32) for rows in (x, y))
    assert alignment(x, y) == pytest.approx(0.32678000102339255, rel=2e-6)
    assert alignment(x, y, alpha=1.5) == pytest.approx(0.40193191469729933, rel=2e-6)
    assert uniformity(x) == pytest.approx(-3.6668122925855924, rel=2e-6)


def test_extremes_of_uniformity():
    assert uniformity(jnp.ones((5, 1))) == pytest.approx(0, abs=1e-6)
    assert uniformity(jnp.array([[1.0], [-1.0]])) == pytest.approx(-8, rel=1e-6)
    # exp(-t 4) alone is 0 in float32: the logarithm must not leave log space.
    assert uniformity(jnp.array([[1.0], [-1.0]]), t=100) == pytest.approx(-400, rel=1e-6)


def test_rotation_changes_nothing():
    x, y = (jnp.asarray(unit_rows(s), jnp.float32) for s in (2, 3))
    turn = jnp.asarray(np.linalg.qr(np.random.default_rng(4).normal(size=(4, 4)))[0], jnp.float32)
    for loss in (alignment, cross_uniformity):
        assert loss(x @ turn, y @ turn) == pytest.approx(float(loss(x, y)), rel=2e-6)
    assert uniformity(x @ turn) == pytest.approx(float(uniformity(x)), rel=2e-6)


@pytest.mark.parametrize("alpha", [0.5, 1, 2, 3])
def test_pairs_that_coincide_have_gradient_0(alpha):
    x = jnp.eye(3)
    loss, gradient = jax.value_and_grad(lambda y: alignment(x, y, alpha=alpha))(x)
    assert loss == 0 and not gradient.any()


def test_one_row_has_no_pair():
    loss, gradient = jax.value_and_grad(uniformity)(jnp.ones((1, 3)))
    assert loss == 0 and not gradient.any()


@pytest.mark.parametrize(
    "misuse, message",
    [
        (lambda x: alignment(x, x, alpha=0), "alpha is 0: give a number above 0"),
        (lambda x: uniformity(x, t=-1), "t is -1: give a number above 0"),
        (lambda x: cross_uniformity(x, x, t=0), "t is 0: give a number above 0"),
        (lambda x: alignment(x, x[1:]), r"x \(3, 2\) and y \(2, 2\) must have the same shape"),
        (lambda x: cross_uniformity(x, x[:, 1:]), r"x \(3, 2\) and y \(3, 1\) must have the same shape"),
        (lambda x: uniformity(x[0]), r"x is float32 \(2,\): give floating"),
        (lambda x: uniformity(x, present=jnp.ones(2, bool)), r"present \(2,\) must be \(3,\)"),
    ],
)
def test_misuse(misuse, message):
    with pytest.raises(ValueError, match=message):
        misuse(jnp.ones((3, 2)))
