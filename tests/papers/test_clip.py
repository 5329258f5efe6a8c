"""CLIP: the loss and its gradients as open_clip has them, its limits, meshes, and its paper config."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import softmax_contrastive
from mmjax.objectives import OBJECTIVES
from tests.losses.properties import waves
from tests.papers.running import check_mesh, config_of, run


def unit(rows):
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)


def test_value_and_gradients_are_open_clips():
    """Made once with open_clip 3.3.0 on torch 2.14.1 in float64, rows as in `waves` divided by their norms:

    loss = open_clip.loss.ClipLoss()(x, y, s); torch.autograd.grad(loss, (x, y, s)) at s = 7.
    """
    x, y = map(unit, waves())
    value, (dx, dy, ds) = jax.value_and_grad(softmax_contrastive, (0, 1, 2))(x, y, jnp.float32(7.0))
    assert value == pytest.approx(0.4163538455835055, rel=2e-6)
    assert ds == pytest.approx(0.008399378248577203, rel=2e-5)
    expected = [-0.12496783700518574, 0.012764705860025167, -0.11629651663855489, -0.03472658818519978]
    np.testing.assert_allclose(dx[0], expected, rtol=1e-5, atol=1e-6)
    expected = [-0.7206913939694874, -0.16816799406853544, -0.6983157741191247, 0.49535167326183294]
    np.testing.assert_allclose(dy[3], expected, rtol=1e-5, atol=1e-6)
    weights = np.cos(np.arange(24.0)).reshape(6, 4)
    assert np.sum(weights * dx) == pytest.approx(-0.11800393216783256, rel=2e-5)
    assert np.sum(weights * dy) == pytest.approx(-0.6667607620431167, rel=2e-5)


@pytest.mark.parametrize("rows", [1, 4])
def test_the_limits(rows):
    """Equal embeddings cost log B; aligned pairs far from all others cost nothing; gradients stay finite."""
    same = jnp.ones((rows, 1))
    assert softmax_contrastive(same, same, 100.0) == pytest.approx(math.log(rows), abs=1e-6)
    loss, gradient = jax.value_and_grad(softmax_contrastive)(jnp.eye(4)[:rows], jnp.eye(4)[:rows], 100.0)
    assert loss == pytest.approx(0, abs=1e-6) and np.isfinite(gradient).all()


def test_the_scale_stays_within_its_limits():
    objective = OBJECTIVES["softmax"](max_scale=100.0)
    for value, kept in ((-1.0, 0.0), (2.0, 2.0), (9.0, math.log(100.0))):
        assert objective.after_update({"logit_scale": jnp.float32(value)})["logit_scale"] == pytest.approx(kept)


@pytest.mark.slow
def test_meshes_and_micro_batches():
    config = config_of("clip", batch_size=16, embed_dim=8)
    config.towers.image.width, config.towers.text.width = 8, 8
    check_mesh(config, steps=1)


def test_arguments():
    assert config_of("clip", "full").batch_size == 32_768
    with pytest.raises(ValueError, match="unknown argument 'half'"):
        config_of("clip", "half")


@pytest.mark.slow
@pytest.mark.claim
def test_a_frozen_temperature_that_is_wrong_costs_more_than_one_that_is_learned(tmp_path):
    """Image to text R@10 54.3 % learned from 0.5, 65 % from 0.07 (seeds 0, 1, 2)."""
    key, metric = "objectives.contrastive.temperature", "val/style/image_to_text_R@10"
    good, bad = (run("clip", workdir=tmp_path / str(t), **{key: t})[metric] for t in (0.07, 0.5))
    assert bad > 0.4 and good > bad + 0.05
