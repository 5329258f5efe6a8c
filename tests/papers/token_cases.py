"""What every score of token sets keeps: lean forms equal the dense one, padding and absent rows have no say."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType

from mmjax.encoders import Features
from mmjax.losses import tokens
from mmjax.losses.tokens import prepared_contrastive, token_contrastive, token_rows

ROWS, X_TOKENS, Y_TOKENS, WIDTH = 8, 3, 4, 5
X_PRESENT, Y_PRESENT = jnp.arange(ROWS) != 2, jnp.arange(ROWS) != 5


def unit(seed, *shape):
    x = np.random.default_rng(seed).normal(size=shape)
    return jnp.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True), jnp.float32)


def arrays():
    """Tokens and vectors of both sides, by the names of `value_and_gradients`."""
    return {
        "x": unit(0, ROWS, X_TOKENS, WIDTH),
        "y": unit(1, ROWS, Y_TOKENS, WIDTH),
        "y_vector": unit(2, ROWS, WIDTH),
    }


def masks():
    """Real tokens of both sides: at least one in each row of x, none in one row of y."""
    rng = np.random.default_rng(3)
    x, y = rng.random((ROWS, X_TOKENS)) < 0.7, rng.random((ROWS, Y_TOKENS)) < 0.6
    x[:, 0], y[:, 0], y[4] = True, True, False
    return jnp.asarray(x), jnp.asarray(y)


def loss_of(score, impl="dense", given=None, present=(X_PRESENT, Y_PRESENT), **options):
    """`(arrays, scale, params) -> ()`."""

    given = given or masks()

    def loss(values, scale, params):
        x = token_rows(values["x"], given[0], present=present[0])
        y = token_rows(values["y"], given[1], vector=values["y_vector"], present=present[1])
        return token_contrastive(x, y, scale, score=score, params=params, impl=impl, **options)

    return loss


def value_and_gradients(score, params, impl="dense", **options):
    loss = jax.jit(jax.value_and_grad(loss_of(score, impl, **options), (0, 1, 2)))
    return jax.device_get(loss(arrays(), jnp.float32(7.0), params))


def prepared_value_and_gradients(score, params, impl="dense"):
    """By all that prepared rows hold, where what prepares them is deep and rounds by itself."""
    sides = prepared(score, params)

    def loss(values, scale):
        x, y = (side._replace(values=v) for side, v in zip(sides, values, strict=True))
        return prepared_contrastive(x, y, scale, score=score, params=params, impl=impl)

    compiled = jax.jit(jax.value_and_grad(loss, (0, 1)))
    return jax.device_get(compiled(tuple(side.values for side in sides), jnp.float32(7.0)))


def on_devices(count=8):
    """The ring's mesh."""
    mesh = jax.make_mesh((count,), ("data",), devices=jax.devices()[:count], axis_types=(AxisType.Auto,))
    return jax.set_mesh(mesh)


def lean_forms_equal_dense(score, params, monkeypatch, evaluate=None):
    """Value and every gradient, with tiles of at most 3 rows, and around 4 devices; `evaluate` is one below."""
    evaluate = evaluate or value_and_gradients
    monkeypatch.setattr(tokens, "TILE_NUMBERS", 9 * score.numbers(*prepared(score, params)))
    expected = evaluate(score, params)
    for impl, where in (("blockwise", contextlib.nullcontext()), ("ring", on_devices(4))):
        with where:
            assert_equal(evaluate(score, params, impl), expected)


def prepared(score, params):
    values, (x, y) = arrays(), masks()
    x = token_rows(values["x"], x, present=X_PRESENT)
    y = token_rows(values["y"], y, vector=values["y_vector"], present=Y_PRESENT)
    return score.prepare(x, params, first=True), score.prepare(y, params, first=False)


def padding_has_no_say(score, params):
    """What padding and absent rows hold, NaN included, changes nothing and gets no gradient."""
    expected = value_and_gradients(score, params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(expected))
    spoilt, (x_mask, y_mask) = arrays(), masks()
    spoilt["x"] = jnp.where((x_mask & X_PRESENT[:, None])[:, :, None], spoilt["x"], jnp.nan)
    spoilt["y"] = jnp.where((y_mask & Y_PRESENT[:, None])[:, :, None], spoilt["y"], 1e9)
    loss = jax.jit(jax.value_and_grad(loss_of(score), (0, 1, 2)))
    value, gradients = jax.device_get(loss(spoilt, jnp.float32(7.0), params))
    assert_equal((value, gradients), expected, rtol=1e-6)
    assert not gradients[0]["x"][~np.asarray(x_mask & X_PRESENT[:, None])].any()
    assert not gradients[0]["y"][~np.asarray(y_mask & Y_PRESENT[:, None])].any()


def nothing_present_is_zero(score, params):
    nobody = jnp.zeros((ROWS,), bool)
    value, gradients = value_and_gradients(score, params, present=(nobody, nobody))
    assert value == 0
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradients))


def order_of_tokens_means_nothing(score, params):
    expected = value_and_gradients(score, params)[0]
    values, (x_mask, y_mask) = arrays(), masks()
    turned = values | {"x": values["x"][:, ::-1], "y": values["y"][:, ::-1]}
    given = x_mask[:, ::-1], y_mask[:, ::-1]
    got = jax.jit(loss_of(score, given=given))(turned, jnp.float32(7.0), params)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


OF_EVERY_SCORE = [padding_has_no_say, nothing_present_is_zero, order_of_tokens_means_nothing]


def assert_equal(got, expected, rtol=1e-5):
    """Elementwise to `rtol`, and to a tenth of it of the largest entry where entries cancel to nearly nothing."""
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(expected), strict=True):
        b = np.asarray(b)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol / 10 * np.abs(b).max(), err_msg=str(path))


def features(pooled, tokens, mask=None):
    """What a head of kind tokens gives."""
    return Features(pooled, tokens, mask)
