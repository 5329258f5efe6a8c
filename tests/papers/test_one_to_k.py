"""1-to-K: the loss against loops, one language as CLIP, missing languages, the order of the languages, meshes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.losses import softmax_contrastive
from mmjax.objectives import OBJECTIVES
from tests.papers.running import check_mesh, config_of, run

STREAMS = ("image", "text", "text_2", "text_3")


def unit(seed, *shape):
    x = np.random.default_rng(seed).normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def loops(image, texts, scale):
    """arXiv 2406.18254: texts (K, B, D); half the sum of image to texts and texts to image."""
    count, rows = len(texts), len(image)
    to_texts, to_image = [], []
    for i in range(rows):
        below = sum(math.exp(scale * image[i] @ texts[k][j]) for k in range(count) for j in range(rows))
        to_texts += [-math.log(math.exp(scale * image[i] @ texts[k][i]) / below) for k in range(count)]
        for k in range(count):
            below_k = sum(math.exp(scale * image[j] @ texts[k][i]) for j in range(rows))
            to_image.append(-math.log(math.exp(scale * image[i] @ texts[k][i]) / below_k))
    return (np.mean(to_texts) + np.mean(to_image)) / 2


def evaluated(objective, vectors, batch=None):
    """(loss, its gradients in the vectors) at the initial parameters."""
    batch = batch or {}
    features = lambda vectors: {s: Features(v) for s, v in zip(STREAMS, vectors, strict=False)}  # noqa: E731
    params = objective.init(jax.random.key(0), features(vectors), batch, train=True)["params"]
    loss = lambda vectors: objective.apply({"params": params}, features(vectors), batch, train=True)[0]  # noqa: E731
    return jax.jit(jax.value_and_grad(loss))(vectors)


@pytest.mark.parametrize("impl", ["dense", "blockwise"])
def test_against_loops(impl):
    image, texts = unit(0, 5, 4), unit(1, 3, 5, 4)
    objective = OBJECTIVES["one_to_k"](streams=STREAMS, temperature=0.2, impl=impl)
    loss, gradients = evaluated(objective, [jnp.asarray(v, jnp.float32) for v in (image, *texts)])
    np.testing.assert_allclose(loss, loops(image, texts, 5.0), rtol=1e-5)
    assert all(np.any(g != 0) for g in gradients)


def test_one_language_is_clip_and_the_order_of_languages_means_nothing():
    vectors = [jnp.asarray(v, jnp.float32) for v in unit(2, 4, 6, 3)]
    one = evaluated(OBJECTIVES["one_to_k"](streams=STREAMS[:2]), vectors[:2])[0]
    np.testing.assert_allclose(one, softmax_contrastive(*vectors[:2], jnp.float32(1 / 0.07)), rtol=1e-5)
    whole = OBJECTIVES["one_to_k"](streams=STREAMS)
    turned = [vectors[0], vectors[3], vectors[1], vectors[2]]
    np.testing.assert_allclose(evaluated(whole, vectors)[0], evaluated(whole, turned)[0], rtol=1e-6)


def test_a_missing_language_is_no_positive_and_no_candidate():
    vectors = [jnp.asarray(v, jnp.float32) for v in unit(3, 4, 6, 3)]
    there = jnp.arange(6) % 3 != 1
    batch = {"text_2_present": there}
    objective = OBJECTIVES["one_to_k"](streams=STREAMS)
    dirty = [*vectors]
    dirty[2] = jnp.where(there[:, None], vectors[2], jnp.nan)
    loss, gradients = evaluated(objective, dirty, batch)
    assert loss == evaluated(objective, vectors, batch)[0] != evaluated(objective, vectors)[0]
    assert np.all(gradients[2][~there] == 0) and all(np.all(np.isfinite(g)) for g in gradients)
    none = evaluated(objective, vectors, {"text_3_present": jnp.zeros(6, bool)})[0]
    np.testing.assert_allclose(none, evaluated(OBJECTIVES["one_to_k"](streams=STREAMS[:3]), vectors[:3])[0], rtol=1e-6)


def test_one_stream_is_refused():
    with pytest.raises(UserError, match="1 streams"):
        evaluated(OBJECTIVES["one_to_k"](streams=STREAMS[:1]), [jnp.ones((2, 3))])


@pytest.mark.slow
def test_on_meshes_and_micro_batches():
    config = config_of("one_to_k", batch_size=16, embed_dim=8)
    config.towers.image.width = config.towers.text.width = 8
    check_mesh(config)


@pytest.mark.slow
def test_all_languages_at_once_find_more_at_steadier_ranks(tmp_path):
    found = {arm: run("one_to_k", arm, workdir=tmp_path / arm) for arm in ("one_to_k", "random")}
    recall, variance = "val/languages/text_to_image_R@1", "val/languages/text_to_image_MRV"
    assert found["one_to_k"][recall] > found["random"][recall]
    assert found["one_to_k"][variance] < found["random"][variance]
