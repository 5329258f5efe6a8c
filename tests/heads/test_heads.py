"""Heads: what they compute, in which order, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import config as c
from mmjax.errors import UserError
from mmjax.heads import HEADS
from mmjax.model import build_model
from tests.training.test_step import batch_of, small_config


def model_and_features(**heads):
    config = small_config()
    config.heads.update(heads)
    c.validate(config)
    model = build_model(config, "cpu")
    batch = {k: jnp.asarray(v) for k, v in batch_of(0).items()}
    params = jax.jit(model.init)(jax.random.key(0), batch)["params"]
    return model, params, jax.jit(lambda p: model.apply({"params": p}, batch))(params)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_mlp_is_its_formula():
    head = c.head("mlp", stream="text", hidden=7, depth=2, width=5, norm="none")
    _, params, features = model_and_features(prediction=head)
    x, p = np.asarray(features["text"].pooled, np.float64), params["prediction_head"]
    for layer in ("hidden_0", "hidden_1"):
        x = np.maximum(x @ np.asarray(p[layer]["kernel"]) + np.asarray(p[layer]["bias"]), 0)
    x = unit(x @ np.asarray(p["out"]["kernel"]) + np.asarray(p["out"]["bias"]))
    np.testing.assert_allclose(features["prediction"].pooled, x, rtol=1e-5, atol=1e-6)
    assert features["prediction"].pooled.shape == (16, 5)


def test_tokens_are_projected_and_normed():
    _, params, features = model_and_features(words=c.head("tokens", stream="text"))
    tokens = np.asarray(features["text"].tokens, np.float64) @ np.asarray(params["words_head"]["out"]["kernel"])
    np.testing.assert_allclose(features["words"].tokens, unit(tokens), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(features["words"].mask, features["text"].mask)
    np.testing.assert_array_equal(features["words"].pooled, features["text"].pooled)


def test_a_head_may_take_another_one_whatever_their_names():
    heads = {"a": c.head("concat", streams=("z", "image")), "z": c.head("mlp", stream="text", hidden=4, width=3)}
    model, _, features = model_and_features(**heads)
    both = np.concatenate([features["z"].pooled, features["image"].pooled], 1) / 2**0.5
    np.testing.assert_allclose(features["a"].pooled, both, rtol=1e-5, atol=1e-6)
    assert model.base_streams("a") == ("text", "image") and model.base_streams("z") == ("text",)


def test_one_head_for_two_streams():
    """The same parameters on another stream; its presence, and what it is made of, are that stream's."""
    head, again = c.head("mlp", stream="image", hidden=8), c.head("same", stream="text", of="p")
    model, params, features = model_and_features(p=head, a=again, b=c.head("mlp", stream="a", depth=0))
    assert {name for name in params if name.endswith("_head")} == {"p_head", "b_head"}
    assert model.base_streams("a") == model.base_streams("b") == ("text",)
    module = HEADS["mlp"](**c.options_of(head), embed_dim=model.embed_dim)
    expected = module.apply({"params": params["p_head"]}, {"image": features["text"]}).pooled
    # Rows of unit norm, by two programs: the last bit of a 1 apart.
    np.testing.assert_allclose(features["a"].pooled, expected, rtol=0, atol=1.2e-7)
    assert not np.allclose(features["p"].pooled, features["a"].pooled)


def test_zero_vectors_have_finite_gradients():
    features = {"text": model_and_features()[2]["text"].replace(pooled=jnp.zeros((16, 16)))}
    head = c.head("mlp", stream="text")
    module = HEADS["mlp"](**c.options_of(head), embed_dim=4)
    variables = module.init(jax.random.key(0), features)
    gradient = jax.grad(lambda v: module.apply(v, features).pooled.sum())(variables)
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(gradient))


@pytest.mark.parametrize(
    ("heads", "said"),
    [
        ({"image": c.head("mlp", stream="text")}, "cannot be called 'image'"),
        ({"p": c.head("mlp")}, "reads nothing"),
        ({"p": c.head("mlp", stream="txt")}, "'txt' does not exist"),
        ({"p": c.head("mlp", stream="q"), "q": c.head("concat", streams=("p", "text"))}, "its own features"),
        ({"p": c.head("same", stream="text", of="q")}, "no head 'q'"),
        ({"p": c.head("same", stream="text", of="p")}, "no head 'p'"),
        ({"p": c.head("same", stream="text", of="q"), "q": c.head("blend", streams=("text", "image"))}, "no head 'q'"),
        ({"p": c.head("mlp", stream="ema/text")}, "'ema/text' does not exist"),
    ],
)
def test_what_cannot_be(heads, said):
    with pytest.raises(UserError, match=said):
        model_and_features(**heads)


def test_options_are_checked():
    for options, said in (({"act": "swiglu"}, "act"), ({"hidden": 0}, "hidden 0")):
        with pytest.raises(UserError, match=said):
            model_and_features(p=c.head("mlp", stream="text", **options))
