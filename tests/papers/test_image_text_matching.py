"""Negatives on one side: which gradients they give, bounded memory, meshes, and the paper's config."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.losses import hinge_contrastive
from mmjax.objectives import HingeContrastive
from tests.losses.properties import assert_close, unit_rows
from tests.papers.running import check_mesh, config_of, run


def test_one_sided_negatives_leave_a_text_alone_that_no_image_comes_near():
    """Under x_to_y the anchors are images: a text far from all images but its own gets no gradient as a negative."""
    x = y = jnp.eye(3)
    near = y.at[1].set(jnp.array([0.9, 0.436, 0.0]))  # near the first image, within the margin of its own
    by_direction = {
        way: np.abs(jax.grad(lambda y, w=way: hinge_contrastive(x, y, margin=0.2, direction=w))(near)).sum(1)
        for way in ("x_to_y", "y_to_x")
    }
    # As a negative of image 0 it is pushed under x_to_y; as an anchor, it is nearer to image 0 than to its own image.
    assert (by_direction["x_to_y"] > 0).tolist() == [True, True, False]
    assert (by_direction["y_to_x"] > 0).tolist() == [False, True, False]


def test_both_sides_are_the_sum_of_each():
    x, y = (jnp.float32(unit_rows(seed)) for seed in (0, 1))
    each = [hinge_contrastive(x, y, margin=0.3, direction=way) for way in ("x_to_y", "y_to_x")]
    assert hinge_contrastive(x, y, margin=0.3) == pytest.approx(float(sum(each)), rel=1e-6)
    assert hinge_contrastive(y, x, margin=0.3, direction="y_to_x") == pytest.approx(float(each[0]), rel=1e-6)


@pytest.mark.parametrize("negatives", ["sum", "hardest"])
def test_blockwise_is_dense(negatives):
    """300 rows are more than a tile."""
    x, y = (jnp.float32(unit_rows(seed, (300, 3))) for seed in (2, 3))
    options = {"negatives": negatives, "ids": jnp.arange(300) // 2, "x_present": jnp.arange(300) % 7 != 1}

    def of(impl):
        of = jax.value_and_grad(lambda x, y: hinge_contrastive(x, y, impl=impl, **options), (0, 1))
        return jax.jit(of)(x, y)

    for got, expected in zip(*map(jax.tree.leaves, (of("blockwise"), of("dense"))), strict=True):
        assert_close(got, expected)


def test_the_objective():
    x, y, ids = jnp.float32(unit_rows(0)), jnp.float32(unit_rows(1)), jnp.arange(8) // 2
    features = {"image": Features(pooled=x), "text": Features(pooled=y)}
    objective = HingeContrastive(margin=0.3, negatives="hardest", direction="y_to_x", positives="label")
    loss, _ = objective.apply({}, features, {"label": ids}, train=True)
    assert loss == hinge_contrastive(x, y, margin=0.3, negatives="hardest", direction="y_to_x", ids=ids)


@pytest.mark.slow
def test_meshes_and_micro_batches():
    config = config_of("image_text_matching", "text_negatives", batch_size=16, embed_dim=8)
    config.towers.image.width, config.towers.text.width = 8, 8
    check_mesh(config, steps=1)


def test_arguments():
    assert config_of("image_text_matching", "image_negatives").objectives.hinge.direction == "y_to_x"
    with pytest.raises(ValueError, match="unknown argument 'none'"):
        config_of("image_text_matching", "none")


@pytest.mark.slow
def test_negatives_on_one_side_suffice(tmp_path):
    """R@1 in an unseen style, chance 0.003, with pictures alone as negatives."""
    metrics = run("image_text_matching", "image_negatives", workdir=tmp_path)
    assert metrics["val/style/image_to_text_R@1"] > 0.1 and metrics["val/style/text_to_image_R@1"] > 0.12
