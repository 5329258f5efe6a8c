"""GRAM against numpy determinants in float64, exact volumes, and finite gradients where nothing is spanned."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import gram_contrastive, gram_volume
from mmjax.losses.gram import determinant_and_adjugate
from tests.losses import many_modalities as oracle


def contrast(vectors, scale, **options):
    return gram_contrastive(vectors[0], vectors[1:], scale, **options)


@pytest.mark.parametrize("modalities", [2, 3, 4])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_value_and_gradients_equal_the_loops(modalities, label_smoothing):
    vectors = oracle.unit_vectors(0, modalities, 4, 5)
    oracle.assert_value_and_gradients(
        functools.partial(contrast, label_smoothing=label_smoothing),
        functools.partial(oracle.gram, label_smoothing=label_smoothing),
        vectors,
        8.0,
    )


def test_six_modalities_equal_the_loops():
    vectors = oracle.unit_vectors(1, 6, 4, 9)
    assert contrast(oracle.float32(vectors), 8.0) == pytest.approx(oracle.gram(vectors, 8.0), rel=2e-6)


def test_missing_samples_equal_the_loops():
    vectors, present = oracle.unit_vectors(2, 3, 7, 4), np.random.default_rng(3).random((3, 7)) < 0.75
    assert 1 < present.all(axis=0).sum() < 7
    got = contrast(oracle.float32(vectors), 8.0, label_smoothing=0.1, present=[jnp.asarray(p) for p in present])
    assert got == pytest.approx(oracle.gram(vectors, 8.0, 0.1, list(present)), rel=2e-6)


def test_volumes_that_are_known():
    e = jnp.eye(4)
    rows = lambda *vectors: [v[None] for v in vectors]  # noqa: E731
    assert gram_volume(rows(e[0], e[1])) == pytest.approx(1.0)
    assert gram_volume(rows(e[0], e[1], e[2], e[3])) == pytest.approx(1.0)
    u = 0.6 * e[0] + 0.8 * e[1]
    assert gram_volume(rows(e[0], u)) == pytest.approx(0.8)  # sqrt(1 - cos^2)
    assert gram_volume(rows(u, e[0])) == pytest.approx(0.8)
    w = 0.6 * e[0] + 0.8 * e[2]
    tuv = (1 + 2 * 0.6 * 0.6 * 0.36 - 0.36 - 0.36 - 0.36**2) ** 0.5
    assert gram_volume(rows(e[0], u, w)) == pytest.approx(tuv, rel=1e-6)
    assert gram_volume(rows(2 * e[0], 3 * e[1], e[2])) == pytest.approx(6.0)  # not only of unit vectors
    assert gram_volume(rows(e[0], e[0], e[1])) == pytest.approx(1e-3)  # the least that is told apart from 0


def test_volume_has_no_order_and_no_sign():
    a, b, c, d = oracle.float32(oracle.unit_vectors(4, 4, 6, 7))
    expected = gram_volume([a, b, c, d])
    np.testing.assert_allclose(
        expected, [oracle.volume(list(map(np.float64, r))) for r in zip(a, b, c, d, strict=True)], rtol=1e-5
    )
    np.testing.assert_allclose(gram_volume([c, a, d, b]), expected, rtol=1e-5)
    np.testing.assert_allclose(gram_volume([a, -b, c, -d]), expected, rtol=1e-6)
    np.testing.assert_allclose(contrast([a, -b, c], 9.0), contrast([a, b, c], 9.0), rtol=1e-6)


@pytest.mark.parametrize(("modalities", "impl"), [(2, "dense"), (3, "blockwise"), (4, "dense")])
def test_gradients_are_finite_where_nothing_is_spanned(modalities, impl):
    x = jnp.asarray(oracle.unit_vectors(5, 1, 4, 5)[0], jnp.float32)
    gradient = jax.jit(jax.value_and_grad(lambda v: contrast(v, 14.0, impl=impl, block=3)))
    value, gradients = gradient([x] * modalities)  # t = v = a
    assert np.isfinite(value) and all(np.all(np.isfinite(g)) for g in gradients)
    same = jnp.eye(5)[jnp.zeros(4, int)]  # every vector of every sample the same: all volumes equal
    value, gradients = gradient([same] * modalities)
    assert value == pytest.approx(np.log(4), rel=1e-6) and all(np.all(g == 0) for g in gradients)


def test_aligned_tuples_attract():
    """A step against the gradient brings a nearly aligned triple nearer."""
    a, noise, b, c = oracle.float32(oracle.unit_vectors(6, 4, 6, 8))
    near = a + 0.3 * noise
    vectors = [a, near / jnp.linalg.norm(near, axis=1, keepdims=True), c]
    step, _ = oracle.value_and_gradients(contrast, vectors, 14.0)[1]
    moved = [v - 0.02 * g for v, g in zip(vectors, step, strict=True)]
    moved = [v / jnp.linalg.norm(v, axis=1, keepdims=True) for v in moved]
    assert jnp.mean(gram_volume(moved)) < jnp.mean(gram_volume(vectors))
    assert contrast(moved, 14.0) < contrast(vectors, 14.0)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_determinant_and_adjugate_equal_numpy(k):
    g = np.random.default_rng(k).normal(size=(3, k, k))
    determinant, adjugate = determinant_and_adjugate(jnp.asarray(g, jnp.float32))
    np.testing.assert_allclose(determinant, np.linalg.det(g), rtol=1e-4, atol=1e-5)
    expected = np.linalg.inv(g) * np.linalg.det(g)[:, None, None]
    np.testing.assert_allclose(adjugate, expected, rtol=1e-4, atol=1e-4)


def test_adjugate_of_a_singular_matrix():
    _, adjugate = determinant_and_adjugate(jnp.asarray([[1.0, 2.0], [2.0, 4.0]]))
    np.testing.assert_array_equal(adjugate, [[4.0, -2.0], [-2.0, 1.0]])


def test_bad_options():
    x = jnp.ones((4, 3))
    with pytest.raises(ValueError, match="label_smoothing 1.0 is a share"):
        gram_contrastive(x, [x], 1.0, label_smoothing=1.0)
    with pytest.raises(ValueError, match="others is empty"):
        gram_contrastive(x, [], 1.0)
    with pytest.raises(ValueError, match=r"others\[1\] \(3, 3\) must be \(4, width\), like anchor \(4, 3\)"):
        gram_contrastive(x, [x, x[:3]], 1.0)
    with pytest.raises(ValueError, match="1 modality given"):
        gram_volume([x])
