"""Symile against explicit loops over tuples in float64, by hand, and what it refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import softmax_contrastive, symile, symile_permutations
from tests.losses import many_modalities as oracle


def gaps(seed, modalities, rows):
    return np.random.default_rng(seed).random((modalities, rows)) < 0.8


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_n_negatives_equal_the_loops(modalities):
    vectors = oracle.unit_vectors(0, modalities, 5, 3)
    permutations = oracle.random_permutations(1, modalities, 5)
    oracle.assert_value_and_gradients(
        functools.partial(symile, permutations=permutations),
        functools.partial(oracle.symile, permutations=permutations),
        vectors,
        6.0,
    )


@pytest.mark.parametrize(("modalities", "rows"), [(2, 5), (3, 4), (4, 3)])
def test_n_squared_negatives_equal_the_loops(modalities, rows):
    vectors = oracle.unit_vectors(2, modalities, rows, 3)
    oracle.assert_value_and_gradients(functools.partial(symile, negatives="n_squared"), oracle.symile, vectors, 6.0)


def test_missing_samples_equal_the_loops():
    vectors, present = oracle.unit_vectors(3, 3, 6, 3), gaps(7, 3, 6)
    assert 1 < present.all(axis=0).sum() < 6
    permutations = oracle.random_permutations(5, 3, 6)
    there = [jnp.asarray(p) for p in present]
    got = symile(oracle.float32(vectors), 6.0, permutations=permutations, present=there)
    assert got == pytest.approx(oracle.symile(vectors, 6.0, permutations, list(present)), rel=2e-6)
    got = symile(oracle.float32(vectors), 6.0, negatives="n_squared", present=there)
    assert got == pytest.approx(oracle.symile(vectors, 6.0, None, list(present)), rel=2e-6)


def test_what_is_there_of_an_incomplete_sample_is_others_negative_only():
    vectors, lacking = oracle.float32(oracle.unit_vectors(6, 3, 4, 3)), jnp.arange(4) != 2
    loss = functools.partial(symile, negatives="n_squared", present=[lacking, None, None])
    gradients, _ = oracle.value_and_gradients(loss, vectors, 6.0)[1]
    assert np.all(gradients[0][2] == 0) and np.any(gradients[1][2] != 0) and np.any(gradients[2][2] != 0)


def test_two_modalities_by_hand():
    x, y = jnp.eye(3), jnp.eye(3)
    turn, still = [1, 2, 0], [0, 1, 2]
    # anchors x, y turned by one: x_i meets its positive, 3, in column i, elsewhere y_{j+1}: 3 where j + 1 = i, else 0
    # anchors y: x as it is; y_i meets its positive and two zeros.
    turned = np.log(2 * np.exp(3.0) + 1) - 3
    plain = np.log(np.exp(3.0) + 2) - 3
    got = symile([x, y], 3.0, permutations=jnp.asarray([[turn], [still]]))
    assert got == pytest.approx((turned + plain) / 2, rel=1e-6)


def test_two_modalities_with_all_products_are_symmetric_infonce():
    x, y = oracle.float32(oracle.unit_vectors(7, 2, 8, 5))
    for impl in ("dense", "blockwise"):
        got = symile([x, y], 9.0, negatives="n_squared", impl=impl, block=3)
        np.testing.assert_allclose(got, softmax_contrastive(x, y, jnp.float32(9.0)), rtol=1e-6)


def test_equal_vectors_are_log_of_the_number_of_candidates():
    ones = [jnp.ones((5, 1))] * 3
    assert symile(ones, 20.0, key=jax.random.key(0)) == pytest.approx(np.log(5), rel=1e-6)
    assert symile(ones, 20.0, negatives="n_squared") == pytest.approx(np.log(25), rel=1e-6)


def test_key_draws_the_permutations():
    vectors, key = oracle.float32(oracle.unit_vectors(8, 3, 6, 4)), jax.random.key(3)
    permutations = symile_permutations(key, 3, 6)
    assert permutations.shape == (3, 2, 6)
    np.testing.assert_array_equal(np.sort(permutations, axis=-1), np.broadcast_to(np.arange(6), (3, 2, 6)))
    assert len({tuple(row) for row in np.asarray(permutations).reshape(6, 6)}) > 3  # each drawn by itself
    assert symile(vectors, 5.0, key=key) == symile(vectors, 5.0, permutations=permutations)
    assert symile(vectors, 5.0, key=key) != symile(vectors, 5.0, key=jax.random.key(4))


def test_a_small_loss_keeps_its_digits():
    x = jnp.eye(4)
    # positives at 20, three zeros: log(1 + 3 e^-20) is far below float32's resolution at 20
    assert symile([x, x, x], 20.0, permutations=np.tile(np.roll(np.arange(4), 1), (3, 2, 1))) < 4.0
    spread = symile([x, x], 20.0, permutations=np.tile(np.arange(4), (2, 1, 1)))
    assert spread == pytest.approx(3 * np.exp(-20.0), abs=1e-7)


def test_dense_refuses_what_would_not_fit_and_says_how_much():
    vectors = [jax.ShapeDtypeStruct((1024, 8), jnp.float32)] * 3
    run = functools.partial(symile, negatives="n_squared")
    with pytest.raises(ValueError, match="12,884,901,888 bytes .* 4,294,967,296 .* impl='blockwise'"):
        jax.eval_shape(run, vectors, 1.0)
    assert jax.eval_shape(functools.partial(run, impl="blockwise"), vectors, 1.0).shape == ()
    with pytest.raises(ValueError, match="5 modalities and 4096 rows has no end: use negatives='n'"):
        jax.eval_shape(
            functools.partial(run, impl="blockwise"), [jax.ShapeDtypeStruct((4096, 8), jnp.float32)] * 5, 1.0
        )


def test_bad_options():
    x = jnp.ones((4, 3))
    key, shuffles = jax.random.key(0), np.tile(np.arange(4), (2, 1, 1))
    for message, options in [
        ("unknown negatives 'all': use one of n, n_squared", {"negatives": "all"}),
        ("neither of permutations and key", {}),
        ("both of permutations and key", {"key": key, "permutations": shuffles}),
        ("give neither permutations nor key", {"negatives": "n_squared", "key": key}),
        (r"permutations are int64 \(2, 4\): give integers \(2, 1, 4\)", {"permutations": shuffles[:, 0]}),
        (r"permutations are float32 \(2, 1, 4\)", {"permutations": jnp.ones((2, 1, 4))}),
        (r"every row must hold each of 0 ... 3 once", {"permutations": shuffles * 0}),
    ]:
        with pytest.raises(ValueError, match=message):
            symile([x, x], 1.0, **options)
    with pytest.raises(ValueError, match="1 modality given"):
        symile([x], 1.0, key=key)
