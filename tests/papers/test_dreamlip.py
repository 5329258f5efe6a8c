"""DreamLIP: sentences matched with the image, and with the patches that they speak of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.losses import softmax_contrastive
from mmjax.losses.tokens_groups import grouping_weights, sentence_groups
from mmjax.objectives import build_objective
from tests.papers.running import check_mesh, config_of, run
from tests.papers.token_cases import unit

TOKENS, SENTENCES = unit(0, 3, 5, 4), unit(1, 3, 2, 4)


def test_weights_by_hand():
    """Cosines 1, 0.6 and 0 are stretched to themselves; below a third is nothing; the rest sums to 1."""
    tokens = jnp.array([[[1.0, 0], [0.6, 0.8], [0, 1]]])
    sentence = jnp.array([[[1.0, 0]]])
    np.testing.assert_allclose(grouping_weights(tokens, None, sentence)[0, 0], [1 / 1.6, 0.6 / 1.6, 0], rtol=1e-6)
    padded = jnp.array([[True, True, False]])
    np.testing.assert_allclose(grouping_weights(tokens, padded, sentence)[0, 0], [1, 0, 0], rtol=1e-6)


def test_thresholds_0_and_1():
    every = grouping_weights(TOKENS, None, SENTENCES, threshold=0)
    assert (np.sort(every, axis=2)[:, :, 1:] > 0).all() and (np.min(every, axis=2) == 0).all()
    best = np.argmax(np.einsum("bkd,bpd->bkp", SENTENCES, TOKENS), axis=2)
    np.testing.assert_allclose(grouping_weights(TOKENS, None, SENTENCES, threshold=1), np.eye(5)[best], atol=1e-6)


def test_groups_are_unit_means():
    weights = np.asarray(grouping_weights(TOKENS, None, SENTENCES))
    expected = np.einsum("bkp,bpd->bkd", weights, TOKENS)
    expected /= np.linalg.norm(expected, axis=2, keepdims=True)
    np.testing.assert_allclose(sentence_groups(TOKENS, None, SENTENCES), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mask", [np.zeros((3, 5), bool), np.arange(5)[None] < np.array([[1], [3], [5]])])
def test_gradients_are_finite_where_tokens_are_few_or_alike(mask):
    def total(tokens, sentences):
        return jnp.sum(jnp.sin(3 * sentence_groups(tokens, jnp.asarray(mask), sentences)))

    for tokens in (TOKENS, jnp.ones_like(TOKENS) / 2, jnp.zeros_like(TOKENS)):
        gradients = jax.grad(total, (0, 1))(tokens, SENTENCES)
        assert all(np.isfinite(g).all() for g in gradients)
        assert not np.asarray(gradients[0])[~mask].any()


def evaluated(features, batch=None, **changes):
    config = config_of("dreamlip", **{f"objectives.dreamlip.{k}": v for k, v in changes.items()})
    objective = build_objective(config, 0)
    batch = batch or {}
    variables = objective.init(jax.random.key(0), features, batch, train=True)
    return objective.apply(variables, features, batch, train=True)[0]


def features_of_a_batch():
    image, patches = unit(2, 3, 4), TOKENS
    return {
        "series": Features(image),
        "image_tokens": Features(image, patches),
        "text": Features(SENTENCES[:, 0]),
        "text_2": Features(SENTENCES[:, 1]),
    }


def test_loss_is_the_sum_of_both_parts():
    features, s = features_of_a_batch(), 1 / 0.07
    whole = sum(softmax_contrastive(features["series"].pooled, SENTENCES[:, k], s) for k in (0, 1)) / 2
    groups = sentence_groups(TOKENS, None, SENTENCES).reshape(6, 4)
    fine = softmax_contrastive(groups, SENTENCES.reshape(6, 4), s)
    np.testing.assert_allclose(evaluated(features), whole + fine, rtol=1e-5)
    np.testing.assert_allclose(evaluated(features, grouping=0.0), whole, rtol=1e-5)


def test_a_missing_sentence_is_left_out():
    features, there = features_of_a_batch(), jnp.array([True, False, True])
    expected = evaluated(features, {"text_2_present": there})

    def loss(text, patches):
        image = Features(features["image_tokens"].pooled, patches)
        return evaluated(features | {"text_2": Features(text), "image_tokens": image}, {"text_2_present": there})

    emptied = features["text_2"].pooled.at[1].set(jnp.nan)
    value, gradients = jax.value_and_grad(loss, (0, 1))(emptied, TOKENS)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert all(np.isfinite(g).all() for g in gradients)
    assert not gradients[0][1].any()


def test_bad_input():
    with pytest.raises(ValueError, match="threshold is 2: give a number from 0 to 1"):
        grouping_weights(TOKENS, None, SENTENCES, threshold=2)
    with pytest.raises(ValueError, match="must be .batch, any, width., alike"):
        grouping_weights(TOKENS, None, SENTENCES[..., :3])
    with pytest.raises(UserError, match="'image_tokens' has no tokens"):
        evaluated({k: v for k, v in features_of_a_batch().items() if k != "image_tokens"})


@pytest.mark.slow
def test_a_mesh_and_microbatches_change_nothing():
    check_mesh(config_of("dreamlip", batch_size=16))


@pytest.mark.slow
def test_a_sentence_finds_its_picture(tmp_path):
    """Chance is 0.002; by how much more than with a caption cut short depends on the seed, see the config."""
    assert run("dreamlip", workdir=tmp_path)["val/test/text_to_series_R@1"] > 0.09
