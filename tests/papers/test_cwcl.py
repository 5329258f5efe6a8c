"""CWCL: identity weights make CLIP's loss, its least value, the frozen tower, meshes, the claim that fails."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import softmax_contrastive, weighted_contrastive
from tests.losses.properties import unit_rows
from tests.papers.running import check_mesh, config_of, run


def rows(seed, width=4):
    return jnp.float32(unit_rows(seed, (8, width)))


def test_weights_that_are_the_identity_make_clips_loss():
    """Features in opposite directions: weights of 1 with oneself and 0 with the other."""
    x, y = rows(0)[:2], rows(1)[:2]
    features = jnp.array([[1.0], [-1.0]])
    of = [
        jax.value_and_grad(loss, (0, 1))(x, y)
        for loss in (
            lambda x, y: weighted_contrastive(x, y, 9.0, features=features),
            lambda x, y: softmax_contrastive(x, y, 9.0),
        )
    ]
    for got, expected in zip(*map(jax.tree.leaves, of), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_written_out():
    x, y = unit_rows(0), unit_rows(1)
    w = 0.5 + 0.5 * x @ x.T
    log_p = 9 * x @ y.T - np.log(np.exp(9 * x @ y.T).sum(1, keepdims=True))
    log_r = 9 * y @ x.T - np.log(np.exp(9 * y @ x.T).sum(1, keepdims=True))
    expected = -np.mean((w * log_p).sum(1) / w.sum(1)) / 2 - np.mean(np.diag(log_r)) / 2
    assert weighted_contrastive(rows(0), rows(1), 9.0) == pytest.approx(expected, rel=2e-6)


def test_no_embedding_costs_less_than_the_targets_entropy():
    """Half the mean entropy of the rows of w bounds the loss: the other half cannot be below 0."""
    features = rows(2)
    w = 0.5 + 0.5 * np.asarray(features) @ np.asarray(features).T
    q = w / w.sum(1, keepdims=True)
    least = -np.mean(np.sum(q * np.log(q), 1)) / 2
    for seed in range(5):
        for scale in (1.0, 10.0, 100.0):
            assert weighted_contrastive(rows(seed), rows(seed + 1), scale, features=features) > least


def test_spread_features_make_targets_nearly_even_and_sharpness_undoes_it():
    """Of 128 candidates with cosines about 0, the targets of an anchor are worth more than 120; of w^8, fewer."""
    f = unit_rows(0, (128, 64))
    w = 0.5 + 0.5 * f @ f.T

    def perplexity(w):
        q = w / w.sum(1, keepdims=True)
        return np.exp(-np.mean(np.sum(q * np.log(q), 1)))

    assert perplexity(w) > 120 and perplexity(w**8) < 0.7 * perplexity(w)


def test_the_weights_give_no_gradient_to_the_frozen_side():
    """Without features the weights are x's own, and constant: the gradient is that of given features."""
    x, y = rows(0), rows(1)
    own = jax.grad(lambda x: weighted_contrastive(x, y, 9.0))(x)
    given = jax.grad(lambda x, f: weighted_contrastive(x, y, 9.0, features=f))(x, x)
    np.testing.assert_allclose(own, given, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 8.0])
def test_opposite_features_have_finite_gradients(sharpness):
    """A weight of exactly 0, where a power below 1 has an infinite slope."""
    features = jnp.array([[1.0, 0], [-1, 0], [0, 1]])

    def loss(x, f):
        return weighted_contrastive(x, jnp.eye(4)[:3], 9.0, features=f, sharpness=sharpness)

    value, gradients = jax.value_and_grad(loss, (0, 1))(jnp.eye(4)[:3], features)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients)


@pytest.mark.slow
def test_meshes_and_micro_batches():
    check_mesh(config_of("cwcl", "sharp", batch_size=16))


def test_arguments():
    assert config_of("cwcl", "clip").objectives.contrastive.kind == "softmax"
    with pytest.raises(ValueError, match="unknown argument 'flat'"):
        config_of("cwcl", "flat")


@pytest.mark.slow
def test_even_targets_transfer_less_than_clips(tmp_path):
    """The claim does not hold: classes of the frozen space are found less often by graded targets that are even."""
    metric = "val/classes/vector_2_to_vector_mAP@10"
    found = {arm: run("cwcl", arm, workdir=tmp_path / arm)[metric] for arm in ("clip", "cwcl", "sharp")}
    assert found["cwcl"] < found["clip"] - 0.08
    assert found["cwcl"] + 0.08 < found["sharp"] < found["clip"] + 0.03
