"""The dense losses against numbers worked out by hand and by plain numpy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import sigmoid_contrastive, softmax_contrastive


def unit_rows(seed, shape=(6, 4)):
    x = np.random.default_rng(seed).normal(size=shape)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def numpy_softmax_loss(x, y, scale, ids):
    """Row by row, as SupCon's L_out writes it."""
    z, total = scale * x @ y.T, 0.0
    for logits in (z, z.T):
        for i, row in enumerate(logits):
            p = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
            positives = [j for j in range(len(ids)) if ids[j] == ids[i]]
            total += -np.mean([np.log(p[j]) for j in positives])
    return total / (2 * len(x))


def numpy_sigmoid_loss(x, y, scale, bias, ids):
    total = 0.0
    for i in range(len(x)):
        for j in range(len(y)):
            sign = 1.0 if ids[i] == ids[j] else -1.0
            total += np.log1p(np.exp(-sign * (scale * x[i] @ y[j] + bias)))
    return total / len(x)


def f32(*arrays):
    return [jnp.asarray(a, jnp.float32) for a in arrays]


def test_softmax_of_two_orthogonal_pairs_by_hand():
    x = jnp.eye(2)
    # logits [[3, 0], [0, 3]]: every anchor loses log(1 + e^-3)
    assert softmax_contrastive(x, x, jnp.float32(3.0)) == pytest.approx(np.log1p(np.exp(-3.0)), rel=1e-6)


def test_softmax_of_equal_embeddings_is_log_batch():
    x = jnp.ones((8, 1))
    assert softmax_contrastive(x, x, jnp.float32(20.0)) == pytest.approx(np.log(8), rel=1e-6)


def test_sigmoid_by_hand():
    x = jnp.eye(2)
    # two matching pairs at logit 4 - 1 = 3, two others at -1; the sum over pairs divided by two images
    expected = (2 * np.log1p(np.exp(-3.0)) + 2 * np.log1p(np.exp(-1.0))) / 2
    assert sigmoid_contrastive(x, x, jnp.float32(4.0), jnp.float32(-1.0)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4, 5], [7, 3, 7, 7, 2, 3]])
def test_values_equal_numpy(ids):
    x, y = unit_rows(0), unit_rows(1)
    jx, jy = f32(x, y)
    got = softmax_contrastive(jx, jy, jnp.float32(9.0), ids=jnp.asarray(ids))
    assert got == pytest.approx(numpy_softmax_loss(x, y, 9.0, ids), rel=1e-6)
    got = sigmoid_contrastive(jx, jy, jnp.float32(9.0), jnp.float32(-3.0), ids=jnp.asarray(ids))
    assert got == pytest.approx(numpy_sigmoid_loss(x, y, 9.0, -3.0, ids), rel=1e-6)


def test_distinct_ids_are_the_same_as_none():
    x, y = f32(unit_rows(2), unit_rows(3))
    ids = jnp.arange(6)
    for loss in (
        lambda x, y, ids: softmax_contrastive(x, y, jnp.float32(5.0), ids=ids),
        lambda x, y, ids: sigmoid_contrastive(x, y, jnp.float32(5.0), jnp.float32(-2.0), ids=ids),
    ):
        for got, expected in zip(
            jax.value_and_grad(loss, (0, 1))(x, y, ids), jax.value_and_grad(loss, (0, 1))(x, y, None), strict=True
        ):
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7), got, expected)


@pytest.mark.parametrize("argument", [0, 1, 2, 3])
def test_gradients_equal_finite_differences_of_numpy(argument):
    values = [unit_rows(4), unit_rows(5), np.array(6.0), np.array(-2.0)]
    ids = [0, 1, 0, 2, 3, 3]

    def numpy_total(*v):
        return numpy_softmax_loss(v[0], v[1], v[2], ids) + numpy_sigmoid_loss(v[0], v[1], v[2], v[3], ids)

    def jax_total(*v):
        i = jnp.asarray(ids)
        return softmax_contrastive(v[0], v[1], v[2], ids=i) + sigmoid_contrastive(v[0], v[1], v[2], v[3], ids=i)

    got = np.asarray(jax.grad(jax_total, argument)(*f32(*values)))
    expected = np.zeros_like(values[argument])
    for index in np.ndindex(expected.shape):
        step = np.zeros_like(expected)
        step[index] = 1e-6
        up, down = list(values), list(values)
        up[argument], down[argument] = values[argument] + step, values[argument] - step
        expected[index] = (numpy_total(*up) - numpy_total(*down)) / 2e-6
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_bfloat16_embeddings_give_float32_logits():
    x, y = (jnp.asarray(unit_rows(s, (16, 32)), jnp.bfloat16) for s in (6, 7))
    loss = softmax_contrastive(x, y, jnp.float32(10.0))
    exact = numpy_softmax_loss(np.asarray(x, np.float64), np.asarray(y, np.float64), 10.0, range(16))
    assert loss.dtype == jnp.float32
    assert loss == pytest.approx(exact, rel=1e-5)  # products of bfloat16 inputs are exact in float32


def test_shapes_that_do_not_match():
    with pytest.raises(ValueError, match=r"\(3, 2\) and y \(4, 2\)"):
        softmax_contrastive(jnp.ones((3, 2)), jnp.ones((4, 2)), jnp.float32(1.0))
    with pytest.raises(ValueError, match=r"ids \(2,\) must be \(3,\)"):
        sigmoid_contrastive(jnp.ones((3, 2)), jnp.ones((3, 2)), jnp.float32(1.0), jnp.float32(0.0), ids=jnp.arange(2))
