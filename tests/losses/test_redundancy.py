"""Barlow Twins and VICReg: by hand, by plain numpy, by the released code's formula, and in their limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import barlow_twins, vicreg
from tests.losses.properties import OF_EVERY_LOSS, Case, normal_rows, waves


def barlow_reference(x, y, x_present, y_present, weight=5e-3, eps=1e-5):
    """Entry by entry of the cross-correlation."""
    there = np.flatnonzero(x_present & y_present)

    def standard(column):
        values = [column[i] for i in there]
        mean = sum(values) / len(there)
        variance = sum((v - mean) ** 2 for v in values) / len(there)
        return [(v - mean) / np.sqrt(variance + eps) for v in values]

    total = 0.0
    for d in range(x.shape[1]):
        for e in range(x.shape[1]):
            c = sum(a * b for a, b in zip(standard(x[:, d]), standard(y[:, e]), strict=True)) / len(there)
            total += (1 - c) ** 2 if d == e else weight * c**2
    return total


def vicreg_reference(x, y, x_present, y_present, weights=(25, 25, 1), gamma=1.0):
    there = np.flatnonzero(x_present & y_present)
    n, width = len(there), x.shape[1]
    agreement = sum((x[i, d] - y[i, d]) ** 2 for i in there for d in range(width)) / (n * width)
    spread = repeated = 0.0
    for z in (x[there], y[there]):
        mean = [sum(z[:, d]) / n for d in range(width)]
        for d in range(width):
            for e in range(width):
                covariance = sum((z[i, d] - mean[d]) * (z[i, e] - mean[e]) for i in range(n)) / (n - 1)
                if d == e:
                    spread += max(0.0, gamma - np.sqrt(covariance + 1e-4)) / width / 2
                else:
                    repeated += covariance**2 / width
    return weights[0] * agreement + weights[1] * spread + weights[2] * repeated


CASES = {
    "barlow": Case(
        lambda x, y, p, q, rows: barlow_twins(x, y, weight=0.1, x_present=p, y_present=q),
        lambda x, y, p, q: barlow_reference(x, y, p, q, 0.1),
        unit=False,
    ),
    "vicreg": Case(
        lambda x, y, p, q, rows: vicreg(
            x, y, invariance=1, variance=2, covariance=3, gamma=1.5, x_present=p, y_present=q
        ),
        lambda x, y, p, q: vicreg_reference(x, y, p, q, (1, 2, 3), 1.5),
        unit=False,
    ),
}


@pytest.mark.parametrize("holds", OF_EVERY_LOSS)
@pytest.mark.parametrize("name", CASES)
def test_properties(name, holds):
    holds(CASES[name])


def test_barlow_by_hand():
    # Columns of zero mean and unit variance: dimension 0 agrees with 0 and with 1, dimension 1 is the opposite of it.
    x = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    y = jnp.stack([x[:, 0], -x[:, 0]], axis=1)
    # C = [[1, -1], [0, 0]]: (1-1)^2 + (1-0)^2 + weight ((-1)^2 + 0^2)
    assert barlow_twins(x, y, weight=0.25, eps=1e-12) == pytest.approx(1.25, rel=1e-6)


def test_vicreg_by_hand():
    x = jnp.array([[1.0, 1.0], [-1.0, -1.0]])
    y = jnp.zeros((2, 2))
    # Squares average 1. Deviations: sqrt 2 in x, sqrt eps = .01 in y: half of .99. Covariances: off-diagonal 2 in x.
    got = [vicreg(x, y, invariance=a, variance=b, covariance=c) for a, b, c in np.eye(3)]
    np.testing.assert_allclose(got, [1, 0.99 / 2, 2 * 2**2 / 2], rtol=1e-5)
    assert vicreg(x, y) == pytest.approx(25 + 25 * 0.495 + 4, rel=1e-6)


def test_released_formula():
    """Made once in float64 torch: BarlowTwins.forward (0.0051, eps 1e-5) and VICReg.forward (25, 25, 1), restated.

    Values, and the gradient of the first entry of x and of the last of y.
    """
    value, (by_x, by_y) = jax.value_and_grad(lambda x, y: barlow_twins(x, y, weight=0.0051), (0, 1))(*waves())
    np.testing.assert_allclose(
        [value, by_x[0, 0], by_y[-1, -1]], [0.09964537207691873, -0.028493276323445546, 0.021126001005553095], rtol=1e-5
    )
    value, (by_x, by_y) = jax.value_and_grad(vicreg, (0, 1))(*waves())
    np.testing.assert_allclose(
        [value, by_x[0, 0], by_y[-1, -1]], [9.494750213949613, -1.6903573410170212, 0.6070734682521067], rtol=1e-5
    )


def test_barlow_is_blind_to_shift_and_scale_of_a_dimension():
    x, y = waves()
    factor, shift = jnp.array([[2.0, 0.5, 3.0, 1.0]]), jnp.array([[5.0, -3.0, 0.0, 1.0]])
    np.testing.assert_allclose(barlow_twins(x * factor + shift, y, eps=1e-9), barlow_twins(x, y, eps=1e-9), rtol=2e-5)


def test_vicreg_is_blind_to_a_shift_of_both_and_to_the_order_of_the_batch():
    x, y = waves()
    order = jnp.array([3, 1, 5, 0, 2, 4])
    for a, b in ((x + 3, y + 3), (x[order], y[order])):
        np.testing.assert_allclose(vicreg(a, b), vicreg(x, y), rtol=1e-5)


def test_white_dimensions_of_agreeing_views_cost_nothing():
    x, _ = np.linalg.qr(normal_rows(3, (64, 5)) - normal_rows(3, (64, 5)).mean(axis=0))
    x = jnp.asarray(1.2 * 8 * x, jnp.float32)  # deviations 1.2 and no correlation
    assert barlow_twins(x, x, eps=1e-9) == pytest.approx(0, abs=1e-9)
    assert vicreg(x, x) == pytest.approx(0, abs=1e-9)


def test_collapse_is_what_they_punish_and_the_gradient_stays_finite():
    x = jnp.ones((8, 4))
    assert barlow_twins(x, x) == pytest.approx(4, rel=1e-6)  # every correlation is 0 where it should be 1
    assert vicreg(x, x) == pytest.approx(25 * 0.99, rel=1e-5)
    for loss in (barlow_twins, vicreg):
        assert np.isfinite(jax.grad(loss)(x, x)).all()


def test_a_single_sample_has_no_statistics():
    x, y = waves()
    alone = jnp.arange(6) == 2
    assert barlow_twins(x, y, x_present=alone) == 0
    np.testing.assert_allclose(vicreg(x, y, y_present=alone), 25 * jnp.mean((x[2] - y[2]) ** 2), rtol=1e-6)
    assert np.isfinite(jax.grad(vicreg)(x[:1], y[:1])).all()


@pytest.mark.parametrize(
    "misuse, message",
    [
        (lambda x: barlow_twins(x, x, weight=-1), "weight is -1: give 0 or more"),
        (lambda x: barlow_twins(x, x, eps=0), "eps is 0: give a number above 0"),
        (lambda x: barlow_twins(x, x[1:]), r"x \(3, 2\) and y \(2, 2\) must have the same shape"),
        (lambda x: vicreg(x, x, covariance=-1), "covariance is -1: give 0 or more"),
        (lambda x: vicreg(x, x, eps=-1), "eps is -1: give a number above 0"),
        (lambda x: vicreg(x, x[:, :1]), r"x \(3, 2\) and y \(3, 1\) must have the same shape"),
        (lambda x: vicreg(x, x, y_present=jnp.ones(4, bool)), r"y_present \(4,\) must be \(3,\)"),
    ],
)
def test_misuse(misuse, message):
    with pytest.raises(ValueError, match=message):
        misuse(jnp.ones((3, 2)))
