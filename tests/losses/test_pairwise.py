"""A loss over pairs of modalities is the weighted sum of that loss on each pair."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import pair_losses, pairwise, sigmoid_contrastive, softmax_contrastive
from tests.losses import many_modalities as oracle

PAIRS = [("image", "text"), ("audio", "image")]


def modalities(seed=0, rows=6):
    return dict(zip(("image", "text", "audio"), oracle.float32(oracle.unit_vectors(seed, 3, rows, 4)), strict=True))


def numpy_infonce(x, y, scale):
    z = scale * np.asarray(x, np.float64) @ np.asarray(y, np.float64).T
    return np.mean(np.log(np.exp(z).sum(1)) + np.log(np.exp(z).sum(0)) - 2 * np.diag(z)) / 2


def test_weighted_sum_of_pairs_each_with_its_scale():
    v = modalities()
    got = pairwise(v, PAIRS, softmax_contrastive, jnp.asarray([3.0, 8.0]), weights=[1.0, 0.25])
    expected = numpy_infonce(v["image"], v["text"], 3.0) + 0.25 * numpy_infonce(v["audio"], v["image"], 8.0)
    assert got == pytest.approx(expected, rel=1e-6)
    each = pair_losses(v, PAIRS, softmax_contrastive, jnp.asarray([3.0, 8.0]))
    np.testing.assert_allclose(each[1], numpy_infonce(v["audio"], v["image"], 8.0), rtol=1e-6)


def test_gradients_reach_vectors_and_each_scale():
    run = lambda v, s: pairwise(v, PAIRS, softmax_contrastive, s, weights=[1.0, 0.25])  # noqa: E731
    v, scales = modalities(1), jnp.asarray([3.0, 8.0])
    gradients, of_scales = jax.grad(run, (0, 1))(v, scales)
    first = jax.grad(softmax_contrastive, (0, 1, 2))(v["image"], v["text"], scales[0])
    second = jax.grad(softmax_contrastive, (0, 1, 2))(v["audio"], v["image"], scales[1])
    expected = {"image": first[0] + 0.25 * second[1], "text": first[1], "audio": 0.25 * second[0]}
    oracle.assert_close(gradients, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(of_scales, [first[2], 0.25 * second[2]], rtol=1e-5)


def test_a_loss_with_a_bias_and_further_options():
    v, scales, biases = modalities(2), jnp.asarray([3.0, 8.0]), jnp.asarray([-1.0, -2.0])
    ids = jnp.asarray([0, 0, 1, 2, 3, 3])
    got = pairwise(v, PAIRS, functools.partial(sigmoid_contrastive, ids=ids), scales, biases)
    expected = sum(
        sigmoid_contrastive(v[a], v[b], s, c, ids=ids) for (a, b), s, c in zip(PAIRS, scales, biases, strict=True)
    )
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_missing_samples_of_each_modality():
    v, there = modalities(3), jnp.asarray([1, 0, 1, 1, 0, 1], bool)
    rows = np.flatnonzero(there)
    v["text"] = jnp.where(there[:, None], v["text"], jnp.nan)
    run = lambda v: pairwise(v, PAIRS, softmax_contrastive, [3.0, 8.0], present={"text": there})  # noqa: E731
    value, gradients = jax.value_and_grad(run)(v)
    z = 3.0 * np.asarray(v["image"], np.float64) @ np.asarray(v["text"], np.float64)[rows].T
    matched = z[rows, range(len(rows))]  # images without a text are no anchors, but candidates of the texts
    to_text, to_image = np.log(np.exp(z[rows]).sum(1)) - matched, np.log(np.exp(z).sum(0)) - matched
    expected = np.mean(to_text + to_image) / 2 + numpy_infonce(v["audio"], v["image"], 8.0)
    assert value == pytest.approx(expected, rel=1e-6)
    assert np.all(gradients["text"][~there] == 0) and np.all(np.isfinite(gradients["image"]))


def test_a_pair_without_a_sample_adds_nothing():
    v = modalities(4)
    nowhere = {"text": jnp.zeros(6, bool)}
    got = pairwise(v, PAIRS, softmax_contrastive, [3.0, 8.0], present=nowhere)
    assert got == pytest.approx(numpy_infonce(v["audio"], v["image"], 8.0), rel=1e-6)
    assert pairwise(v, [], softmax_contrastive, []) == 0


def test_bad_arguments():
    v = modalities()
    with pytest.raises(ValueError, match="no modality 'depth' in vectors: it has 'image', 'text', 'audio'"):
        pairwise(v, [("image", "depth")], softmax_contrastive, [1.0])
    with pytest.raises(ValueError, match="no modality 'depth'"):
        pairwise(v, PAIRS, softmax_contrastive, [1.0, 1.0], present={"depth": jnp.ones(6, bool)})
    with pytest.raises(ValueError, match="scales has 1 entries for 2 pairs"):
        pairwise(v, PAIRS, softmax_contrastive, [1.0])
    with pytest.raises(ValueError, match="weights has 3 entries for 2 pairs"):
        pairwise(v, PAIRS, softmax_contrastive, [1.0, 1.0], weights=[1.0, 1.0, 1.0])
