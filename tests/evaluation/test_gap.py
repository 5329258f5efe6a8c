"""Modality gap, alignment and uniformity by hand and against dense numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import pdist

from mmjax.errors import UserError
from mmjax.evaluation import gap as module
from mmjax.evaluation import sharded
from mmjax.evaluation.gap import gap, uniformity


def test_by_hand():
    x = np.array([[1, 0], [0, 1]], np.float32)
    y = np.array([[1, 0], [0.6, 0.8]], np.float32)
    # Centroids (1/2, 1/2) and (0.8, 0.4); pairs at squared distance 0 and 0.4; x apart 2, y apart 0.8 (squared).
    expected = {"modality_gap": np.hypot(0.3, 0.1), "paired_cosine": 0.9, "alignment": 0.2}
    assert gap(x, y) == pytest.approx(expected | {"image_uniformity": -4.0, "text_uniformity": -1.6}, rel=1e-6)


@pytest.mark.parametrize("block", [16, 1024])
def test_uniformity_equals_the_dense_form(block):
    x = np.random.default_rng(0).normal(size=(130, 9)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    dense = np.log(np.mean(np.exp(-2 * pdist(x.astype(np.float64), "sqeuclidean"))))
    assert uniformity(x, block=block) == pytest.approx(dense, rel=1e-6)


def test_limits():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 64)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    same = gap(x, x)
    assert same["modality_gap"] == 0
    assert same["alignment"] == pytest.approx(0, abs=1e-6)
    opposite = gap(x, -x, names=("audio", "text"))
    assert opposite["alignment"] == pytest.approx(4, rel=1e-6)
    assert opposite["audio_uniformity"] == pytest.approx(opposite["text_uniformity"])
    assert uniformity(np.repeat(x[:1], 50, axis=0)) == pytest.approx(0, abs=1e-6)  # collapse: the largest value
    assert -4 < uniformity(x) < -3.8  # independent directions in many dimensions tend to -2 * 2


def test_memory_is_a_few_blocks():
    rows, block = 16_384, 128
    one = jax.ShapeDtypeStruct((rows // block, block), jnp.float32)
    number = jax.ShapeDtypeStruct((rows // block, block), jnp.int32)
    placed = {"x": jax.ShapeDtypeStruct((rows // block, block, 8), jnp.float32), "squared": one, "index": number}
    compiled = sharded.fold.lower(module._kernel_sum, one, placed, placed, sharded.one_device()).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < rows * rows * 4 / 100


@pytest.mark.parametrize(
    "x,y,says",
    [
        (np.eye(3), np.eye(3)[:2], "3 image and 2 text embeddings"),
        (np.eye(3)[:1], np.eye(3)[:1], "one image embedding"),
        (np.eye(3), np.eye(3) * np.nan, "3 of 3 text embeddings are not finite"),
    ],
)
def test_bad_input_is_named(x, y, says):
    with pytest.raises(UserError, match=says):
        gap(x, y)
