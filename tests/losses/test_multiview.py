"""MV-InfoNCE and MV-DHEL against explicit loops in float64, closed forms for two views, no overflow."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import mv_dhel, mv_infonce
from tests.losses import many_modalities as oracle

BOTH = pytest.mark.parametrize("loss", [mv_infonce, mv_dhel])


@BOTH
@pytest.mark.parametrize("views", [2, 3])
def test_value_and_gradients_equal_the_loops(loss, views):
    vectors = oracle.unit_vectors(0, views, 4, 3)
    oracle.assert_value_and_gradients(loss, getattr(oracle, loss.__name__), vectors, 5.0)


@BOTH
def test_missing_views_equal_the_loops(loss):
    vectors, present = oracle.unit_vectors(1, 4, 7, 3), np.random.default_rng(2).random((4, 7)) < 0.55
    count = present.sum(axis=0)
    assert count.min() < 2 < count.max()
    got = loss(oracle.float32(vectors), 5.0, present=[jnp.asarray(p) for p in present])
    assert got == pytest.approx(getattr(oracle, loss.__name__)(vectors, 5.0, list(present)), rel=2e-6)


def test_two_views_of_mv_dhel_are_dhel():
    u, v = oracle.unit_vectors(3, 2, 6, 4)
    away = ~np.eye(6, dtype=bool)
    spread = [np.log((np.exp(2.0 * w @ w.T) * away).sum(axis=1)) for w in (u, v)]
    expected = np.mean(spread[0] + spread[1] - 2.0 * (u * v).sum(axis=1)) - np.log(2)
    assert mv_dhel(oracle.float32([u, v]), 2.0) == pytest.approx(expected, rel=1e-6)


def test_two_views_of_mv_infonce_bound_infonce():
    """log of a mean is at least the mean of logs: equality where both of a sample's partition sums are equal."""
    u, v = oracle.unit_vectors(4, 2, 6, 4)
    infonce = lambda u, v: np.mean(  # noqa: E731
        (np.log(np.exp(2.0 * u @ v.T).sum(1)) + np.log(np.exp(2.0 * v @ u.T).sum(1))) / 2 - 2.0 * (u * v).sum(1)
    )
    assert mv_infonce(oracle.float32([u, v]), 2.0) > infonce(u, v) + 1e-4
    assert mv_infonce(oracle.float32([u, u]), 2.0) == pytest.approx(infonce(u, u), rel=1e-6)


def test_views_of_one_kind_are_no_negatives_of_mv_infonce():
    """The released code counts them. Two samples, first views equal: only pairs across views are in the sums."""
    a = jnp.asarray([[1.0, 0.0], [1.0, 0.0]])
    b = jnp.asarray([[0.0, 1.0], [0.0, -1.0]])
    # every a.b is 0: numerator 2 pairs, denominator 4; a_0.a_1 = 1 would add e^s
    assert mv_infonce([a, b], 9.0) == pytest.approx(np.log(2), rel=1e-6)


@BOTH
def test_sums_that_would_overflow(loss):
    """Five views at temperature 0.01: exp(100)^5 is no float32, nor float64's product of 300 such sums."""
    vectors = [jnp.ones((8, 1))] * 5
    value, (_, gradient) = oracle.value_and_gradients(loss, vectors, 100.0)
    expected = np.log(8) if loss is mv_infonce else 5 * (np.log(7) + 100) - np.log(20) - 100
    # a numerator of 103 has float32 neighbours 7.6e-6 away
    assert value == pytest.approx(expected, rel=1e-6, abs=8e-6) and np.isfinite(gradient)


def test_a_view_that_no_other_sample_has_has_no_factor():
    a, b, c = oracle.float32(oracle.unit_vectors(5, 3, 5, 4))
    there = jnp.arange(5) == 1
    got = mv_dhel([a, b, c], 4.0, present=[None, None, there])
    vectors = [np.asarray(v, np.float64) for v in (a, b, c)]
    present = [[True] * 5, [True] * 5, [False, True, False, False, False]]
    assert got == pytest.approx(oracle.mv_dhel(vectors, 4.0, present), rel=2e-6)
