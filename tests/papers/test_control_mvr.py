"""Control-MVR: the blend of two spaces, the loss with labels against loops, meshes, and the slider of the claim."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.heads import HEADS
from mmjax.losses import softmax_contrastive
from tests.papers.running import check_mesh, config_of, run

SHARES = (0, 25, 50, 75, 100)


def unit(seed, *shape):
    x = np.random.default_rng(seed).normal(size=shape)
    return jnp.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True), jnp.float32)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_blend(share):
    a, b = unit(0, 2, 5, 4)
    head = HEADS["blend"](streams=("a", "b"), share=share, parent=None)
    assert head.reads == ("a", "b")
    pooled = head.apply({}, {"a": Features(a), "b": Features(b)}).pooled
    mixed = (1 - share) * np.asarray(a) + share * np.asarray(b)
    np.testing.assert_allclose(pooled, mixed / np.linalg.norm(mixed, axis=1, keepdims=True), rtol=1e-5)


def test_the_blend_of_opposites_is_zero_and_finite():
    a = unit(0, 3, 4)
    head = HEADS["blend"](streams=("a", "b"), parent=None)
    assert np.all(head.apply({}, {"a": Features(a), "b": Features(-a)}).pooled == 0)


@pytest.mark.parametrize(("options", "said"), [({"share": 1.5}, "share is 1.5"), ({"streams": ("a",)}, "1 streams")])
def test_a_blend_that_cannot_be(options, said):
    with pytest.raises(UserError, match=said):
        HEADS["blend"](**({"streams": ("a", "b"), "parent": None} | options))


def test_contrast_by_label_across_modalities_against_loops():
    x, y, labels, s = unit(1, 6, 4), unit(2, 6, 4), np.array([0, 1, 0, 2, 1, 0]), 5.0
    total = []
    for a, c in ((x, y), (y, x)):
        z = s * np.asarray(a, np.float64) @ np.asarray(c, np.float64).T
        log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
        total.append(np.mean([-log_p[i][labels == labels[i]].mean() for i in range(6)]))
    loss = softmax_contrastive(x, y, jnp.float32(s), ids=jnp.asarray(labels))
    np.testing.assert_allclose(loss, np.mean(total), rtol=1e-5)


@pytest.mark.slow
def test_on_meshes_and_micro_batches():
    config = config_of("control_mvr", batch_size=16, embed_dim=8)
    config.data.source += ",count=64"
    for tower in config.towers.values():
        tower.hidden = 8
    check_mesh(config)


@pytest.mark.slow
def test_the_slider_goes_from_the_piece_to_the_genre(tmp_path):
    metrics = run("control_mvr", workdir=tmp_path)
    name = "val/{}_{}/vector_{}_to_vector_2_{}_{}"
    piece = [metrics[name.format("piece", s, s, s, "R@10")] for s in SHARES]
    genre = [metrics[name.format("genre", s, s, s, "mAP@10")] for s in SHARES]
    assert np.all(np.diff(piece) < 0.02) and np.all(np.diff(genre) > -0.02)
    assert piece[0] > piece[-1] + 0.2 and genre[-1] > genre[0] + 0.1
