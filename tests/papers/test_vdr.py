"""VDR: weights over a vocabulary, their greatest entries, and the words of captions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.evaluation.lexical import keep_top, word_precision
from mmjax.heads import LexicalHead
from mmjax.losses.lexical import bag_of_words, elu1p, lexical_contrastive, sparse, top_k_mask
from tests.papers.running import check_mesh, config_of, run
from tests.papers.token_cases import on_devices, unit

ROWS, WORDS = 8, 12


def weights(seed):
    return jnp.asarray(np.random.default_rng(seed).gamma(1.0, size=(ROWS, WORDS)), jnp.float32)


def bags():
    rng = np.random.default_rng(5)
    return jnp.asarray(rng.random((ROWS, WORDS)) < 0.3, jnp.float32)


def contrast(x, y):
    """Symmetric InfoNCE of inner products, in float64."""
    z = np.asarray(x, np.float64) @ np.asarray(y, np.float64).T
    losses = [np.log(np.exp(a).sum(1)) - np.diag(a) for a in (z, z.T)]
    return np.mean(losses)


def keep(x, k, words=0):
    x = np.asarray(x)
    return np.where((x >= np.sort(x, axis=1)[:, -k, None]) | (np.asarray(words) > 0), x, 0)


def test_loss_is_the_papers():
    x, y, words = weights(0), weights(1), bags()
    other = bags()[::-1]
    terms = [contrast(keep(x, 3, other), y), contrast(x, keep(y, 3, words)), contrast(other, y), contrast(x, words)]
    got = lexical_contrastive(x, y, k=3, x_words=other, y_words=words)
    np.testing.assert_allclose(got, np.mean(terms), rtol=1e-5)
    terms = [contrast(keep(x, 3), y), contrast(x, keep(y, 3, words)), contrast(x, words)]
    np.testing.assert_allclose(lexical_contrastive(x, y, k=3, y_words=words), np.mean(terms), rtol=1e-5)
    np.testing.assert_allclose(lexical_contrastive(x, y, 0.5, k=0), contrast(0.5 * x, y), rtol=1e-5)


def test_elu1p_and_masks_by_hand():
    np.testing.assert_allclose(elu1p(jnp.array([-1.0, 0, 2])), [np.exp(-1), 1, 3], rtol=1e-6)
    x = jnp.array([[3.0, 1, 2, 0], [1, 1, 1, 0]])
    np.testing.assert_array_equal(top_k_mask(x, 2), [[1, 0, 1, 0], [1, 1, 1, 0]])
    np.testing.assert_array_equal(sparse(x, 1, jnp.array([[0, 0, 0, 1.0], [0, 0, 0, 0]])), [[3, 0, 0, 0], [1, 1, 1, 0]])
    assert top_k_mask(x, 0).all() and top_k_mask(x, 9).all()
    ids, mask = jnp.array([[3, 3, 1, 0], [2, 1, 0, 0]]), jnp.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
    np.testing.assert_array_equal(bag_of_words(ids, mask, 5, leave_out=(1,)), [[0, 0, 0, 1, 0], [0, 0, 1, 0, 0]])


def test_gradient_flows_through_what_is_kept():
    x, y, words = weights(0), weights(1), bags()
    gradients = jax.grad(lambda x, y: lexical_contrastive(x, y, k=3, y_words=words), (0, 1))(x, y)
    assert all(np.isfinite(g).all() and g.any() for g in gradients)
    nobody = jnp.zeros((ROWS,), bool)
    gone = {"x_present": nobody, "y_present": nobody}
    value, gradient = jax.value_and_grad(lambda x: lexical_contrastive(x, y, k=3, y_words=words, **gone))(x)
    assert value == 0 and not gradient.any()


def test_lean_forms_equal_dense():
    def loss(x, y, impl):
        there = jnp.arange(ROWS) != 3
        return lexical_contrastive(x, y, k=3, y_words=bags(), x_present=there, impl=impl)

    x, y = weights(0), weights(1)
    dense = jax.jit(jax.value_and_grad(lambda x, y: loss(x, y, "dense"), (0, 1)))(x, y)
    for impl in ("blockwise", "ring"):
        with on_devices(4):
            got = jax.device_get(jax.jit(jax.value_and_grad(lambda x, y, i=impl: loss(x, y, i), (0, 1)))(x, y))
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(dense), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_head_is_the_papers():
    """max over real tokens of elu1p(LN(h) E^T); a text without a token weighs nothing; a vector is one token."""
    tokens, mask = unit(0, 3, 4, 5), jnp.array([[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0]], bool)
    features = {"text": Features(unit(1, 3, 5), tokens, mask), "image": Features(unit(1, 3, 5))}
    head = LexicalHead(stream="text", vocabulary=6)
    params = head.init(jax.random.key(0), features)
    got = head.apply(params, features).pooled
    x = np.asarray(tokens, np.float64)
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    z = x @ np.asarray(params["params"]["words"], np.float64).T
    z = np.where(z > 0, z + 1, np.exp(z))
    expected = [z[i][np.asarray(mask[i])].max(0) if mask[i].any() else np.zeros(6) for i in range(3)]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
    alone = LexicalHead(stream="image", vocabulary=6).apply(params, features).pooled
    assert alone.shape == (3, 6) and (alone > 0).all()
    gradient = jax.grad(lambda p: head.apply(p, features).pooled.sum())(params)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))


def test_words_of_a_sample_by_hand():
    x = np.array([[5.0, 4, 1, 0], [0, 1, 2, 3]], np.float32)
    words = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]], np.float32)
    assert word_precision(x, np.array([7, 9]), words, np.array([7, 7, 9]), k=2) == pytest.approx((0.5 + 1) / 2)
    np.testing.assert_array_equal(keep_top(x, 2), [[5, 4, 0, 0], [0, 0, 2, 3]])
    assert keep_top(x, 0) is x


def test_bad_input():
    with pytest.raises(ValueError, match=r"x_words \(8, 3\) must be \(8, 12\)"):
        lexical_contrastive(weights(0), weights(1), k=3, x_words=bags()[:, :3])
    with pytest.raises(ValueError, match="y_present"):
        lexical_contrastive(weights(0), weights(1), k=3, y_present=jnp.ones((3,), bool))


@pytest.mark.slow
def test_a_mesh_and_microbatches_change_nothing():
    check_mesh(config_of("vdr", batch_size=16), steps=1)


@pytest.mark.slow
@pytest.mark.claim
def test_weights_are_of_words(tmp_path):
    metrics = run("vdr", workdir=tmp_path)
    assert metrics["val/test/word_precision@5"] > 0.25
    assert metrics["val/test/sparse_text_to_series_R@1"] > 0.7
    assert metrics["val/test/words_to_series_R@1"] > 0.5 * metrics["val/test/sparse_text_to_series_R@1"]
