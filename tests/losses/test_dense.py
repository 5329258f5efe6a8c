"""The dense losses against numbers worked out by hand and by plain numpy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import (
    decoupled_contrastive,
    sigmoid_contrastive,
    softmax_contrastive,
    supervised_contrastive,
    weighted_contrastive,
)
from tests.losses import numpy_pairs


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
    with pytest.raises(ValueError, match=r"\(3, 2\) and y float32 \(4, 2\)"):
        softmax_contrastive(jnp.ones((3, 2)), jnp.ones((4, 2)), jnp.float32(1.0))
    with pytest.raises(ValueError, match=r"ids \(2,\) must be \(3,\)"):
        sigmoid_contrastive(jnp.ones((3, 2)), jnp.ones((3, 2)), jnp.float32(1.0), jnp.float32(0.0), ids=jnp.arange(2))


GAPS = {"x_present": np.array([1, 0, 1, 1, 1, 1], bool), "y_present": np.array([1, 1, 1, 0, 1, 1], bool)}
KEYS = [4, 4, 1, 0, 9, 0]


def assert_equals_numpy(loss, expected, differentiated):
    """The value, and the gradients in every array of `differentiated`, by central differences of float64 numpy."""
    arrays = {k: np.asarray(v, np.float64) for k, v in differentiated.items()}
    value, grads = jax.value_and_grad(lambda v: loss(**v))({k: jnp.asarray(v, jnp.float32) for k, v in arrays.items()})
    assert value == pytest.approx(expected(**arrays), rel=2e-6)
    for name, array in arrays.items():
        direction = np.random.default_rng(1).normal(size=array.shape)
        up, down = (expected(**arrays | {name: array + h * direction}) for h in (1e-5, -1e-5))
        slope = np.sum(np.asarray(grads[name], np.float64) * direction)
        size = np.linalg.norm(grads[name]) * np.linalg.norm(direction)  # what the terms of the slope cancel from
        assert slope == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=2e-6 * size), name


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"direction": "x_to_y"},
        {"direction": "y_to_x", "label_smoothing": 0.3},
        {"label_smoothing": 0.1} | GAPS,
        {"keys": KEYS} | GAPS,
    ],
)
def test_softmax_and_its_options_equal_numpy(options):
    given = {k: jnp.asarray(v) if k.endswith("present") else v for k, v in options.items() if k != "keys"}
    given |= {"ids": jnp.asarray(options["keys"])} if "keys" in options else {}
    arrays = {"x": unit_rows(8), "y": unit_rows(9), "scale": 7.0}
    assert_equals_numpy(
        lambda **v: softmax_contrastive(**v, **given), lambda **v: numpy_pairs.softmax(**v, **options), arrays
    )


def test_soft_targets_equal_numpy_and_are_differentiable():
    arrays = {"x": unit_rows(8), "y": unit_rows(9), "scale": 7.0, "targets": abs(unit_rows(10, (6, 6)))}
    given = {k: jnp.asarray(v) for k, v in GAPS.items()}
    assert_equals_numpy(
        lambda **v: softmax_contrastive(**v, **given), lambda **v: numpy_pairs.softmax(**v, **GAPS), arrays
    )


def test_several_texts_an_image_are_one_to_k():
    """K flat texts whose keys are their image's: -1/K sum_k log softmax to texts, each text's own to images."""
    x, y = unit_rows(11), unit_rows(12, (18, 4))
    keys = (np.arange(6), np.repeat(np.arange(6), 3))
    arrays = {"x": x, "y": y, "scale": 7.0}
    assert_equals_numpy(
        lambda x, y, scale: softmax_contrastive(x, y.reshape(6, 3, 4), scale),
        lambda **v: numpy_pairs.softmax(**v, keys=keys),
        arrays,
    )


def test_further_negatives_are_candidates_of_anchors_in_x_only():
    x, y, own, shared = unit_rows(13), unit_rows(14), unit_rows(15, (12, 4)).reshape(6, 2, 4), unit_rows(16, (3, 4))
    total = 0.0
    for i in range(6):
        positive = 7 * x[i] @ y[i]
        rest = [7 * x[i] @ c for c in (*y, *own[i], *shared)]
        total += np.log(np.sum(np.exp(rest))) - positive
    expected = (total / 6 + numpy_pairs.softmax(x, y, 7.0, direction="y_to_x")) / 2
    jx, jy, jown, jshared = f32(x, y, own, shared)
    got = softmax_contrastive(jx, jy, jnp.float32(7.0), hard_negatives=jown, negatives=jshared)
    assert got == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("options", [{}, GAPS, {"keys": KEYS} | GAPS])
def test_sigmoid_and_its_options_equal_numpy(options):
    given = {"ids" if k == "keys" else k: jnp.asarray(v) for k, v in options.items()}
    arrays = {"x": unit_rows(8), "y": unit_rows(9), "scale": 7.0, "bias": -2.0}
    assert_equals_numpy(
        lambda **v: sigmoid_contrastive(**v, **given), lambda **v: numpy_pairs.sigmoid(**v, **options), arrays
    )


def test_supervised_decoupled_and_weighted_equal_numpy():
    arrays = {"x": unit_rows(8), "y": unit_rows(9), "scale": 7.0}
    ids = jnp.asarray(KEYS)
    assert_equals_numpy(
        lambda **v: supervised_contrastive(**v, ids=ids), lambda **v: numpy_pairs.supervised(**v, ids=KEYS), arrays
    )
    for within in (True, False):
        assert_equals_numpy(
            lambda within=within, **v: decoupled_contrastive(**v, within=within),
            lambda within=within, **v: numpy_pairs.decoupled(**v, intra=within),
            arrays,
        )
    arrays["features"] = unit_rows(17)
    assert_equals_numpy(lambda **v: weighted_contrastive(**v), lambda **v: numpy_pairs.weighted(**v), arrays)


def test_weights_that_are_the_identity_give_the_plain_loss():
    x, y = f32(unit_rows(18), unit_rows(19))
    plain = softmax_contrastive(x, y, jnp.float32(5.0))
    # Orthogonal features have w = 1/2, and 2^-60 of the weight of the partner.
    weighted = weighted_contrastive(x, y, jnp.float32(5.0), features=jnp.eye(6), sharpness=60.0)
    assert weighted == pytest.approx(float(plain), rel=1e-6)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: softmax_contrastive(x, x, 0.0), "scale is 0.0: give the factor 1/temperature itself"),
        (lambda x: softmax_contrastive(x, x, jnp.ones(2)), r"scale has shape \(2,\)"),
        (lambda x: softmax_contrastive(x, x, 1.0, direction="up"), "unknown direction 'up'"),
        (lambda x: softmax_contrastive(x, x, 1.0, label_smoothing=1.0), "label_smoothing 1.0 is a share"),
        (lambda x: softmax_contrastive(x, x, 1.0, ids=jnp.ones(3)), "ids are float32: give integers"),
        (lambda x: softmax_contrastive(x, x, 1.0, targets=jnp.ones((3, 2))), r"targets \(3, 2\) must be \(3, 3\)"),
        (lambda x: softmax_contrastive(x, x, 1.0, ids=jnp.arange(3), targets=jnp.eye(3)), "ids or targets, not both"),
        (lambda x: softmax_contrastive(x, x, 1.0, negatives=jnp.ones((4, 3))), r"negatives \(4, 3\) must be \(N, 2\)"),
        (lambda x: softmax_contrastive(x, x, 1.0, hard_negatives=x), r"hard_negatives \(3, 2\) must be \(3, H, 2\)"),
        (lambda x: softmax_contrastive(x.at[1, 0].set(jnp.nan), x, 1.0), r"row 1 of x \(3, 2\) is not finite"),
        (lambda x: softmax_contrastive(x, x, 1.0, x_present=jnp.ones(3)), "x_present is float32: give booleans"),
        (lambda x: softmax_contrastive(x, x, 1.0, y_present=jnp.ones(2, bool)), r"y_present \(2,\) must be \(3,\)"),
        (lambda x: softmax_contrastive(x.astype(jnp.int32), x, 1.0), "must both be floating"),
        (lambda x: sigmoid_contrastive(x, x, 1.0, jnp.ones(3)), r"bias has shape \(3,\)"),
        (lambda x: weighted_contrastive(x, x, 1.0, features=jnp.ones((2, 2))), r"features \(2, 2\) must be \(3, F\)"),
        (lambda x: weighted_contrastive(x, x, 1.0, sharpness=0.0), "sharpness 0.0 is a power"),
        (lambda x: supervised_contrastive(x, x[:, None], 1.0), r"y \(3, 1, 2\) must be \(batch, width\)"),
    ],
)
def test_bad_arguments_are_named(call, said):
    with pytest.raises(ValueError, match=said):
        call(jnp.ones((3, 2)))
