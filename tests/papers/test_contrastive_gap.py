"""The contrastive gap: the terms as the paper writes them, bounded memory, meshes, the closing of the gap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.losses import cross_uniformity, uniformity
from mmjax.objectives import Geometry, WeightedObjectives
from tests.losses.properties import unit_rows
from tests.papers.running import check_mesh, config_of, run


def geometry(x, y, batch=None, **options):
    objective = Geometry(**options)
    features = {"image": Features(pooled=jnp.float32(x)), "text": Features(pooled=jnp.float32(y))}
    return objective.apply({}, features, batch or {}, train=True)


def test_the_terms_are_the_papers():
    """L_CUAXU without its first term: A + (U(x) + U(y)) / 2 + XU, each written out over pairs (t = 2)."""
    x, y = unit_rows(0), unit_rows(1)
    others = [(i, j) for i in range(8) for j in range(8) if i != j]

    def spread(a, b):
        return np.log(np.mean([np.exp(-2 * np.sum((a[i] - b[j]) ** 2)) for i, j in others]))

    parts = np.mean(np.sum((x - y) ** 2, 1)), (spread(x, x) + spread(y, y)) / 2, spread(x, y)
    loss, metrics = geometry(x, y, cross_uniformity=1.0)
    assert loss == pytest.approx(sum(parts), rel=2e-6)
    assert [metrics[k] for k in ("alignment", "uniformity", "cross_uniformity")] == pytest.approx(parts, rel=2e-6)
    loss, metrics = geometry(x, y, alignment=0.5, uniformity=0.0)
    assert loss == pytest.approx(parts[0] / 2, rel=2e-6) and list(metrics) == ["alignment"]


def test_a_stream_that_is_missing_does_not_count():
    x, y, there = unit_rows(0), unit_rows(1), np.arange(8) < 6
    x[6:] = np.nan
    got = geometry(
        x, y, {"image_present": jnp.asarray(there), "text_present": jnp.asarray(there)}, cross_uniformity=1.0
    )
    np.testing.assert_allclose(got[0], geometry(x[:6], y[:6], cross_uniformity=1.0)[0], rtol=2e-6)


@pytest.mark.parametrize("loss", [cross_uniformity, lambda x, y, **o: uniformity(x, **o) + uniformity(y, **o)])
def test_blockwise_is_dense(loss):
    """300 rows are more than a tile."""
    x, y = (jnp.float32(unit_rows(s, (300, 3))) for s in (2, 3))
    of = {}
    for impl in ("dense", "blockwise"):
        of[impl] = jax.jit(jax.value_and_grad(lambda x, y, i=impl: loss(x, y, impl=i), (0, 1)))(x, y)
    np.testing.assert_allclose(of["blockwise"][0], of["dense"][0], rtol=1e-5)
    for got, expected in zip(of["blockwise"][1], of["dense"][1], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_blockwise_holds_less_than_all_distances():
    x = jax.ShapeDtypeStruct((4096, 8), jnp.float32)
    needed = {}
    for impl in ("dense", "blockwise"):
        compiled = jax.jit(jax.grad(lambda x, i=impl: uniformity(x, impl=i))).lower(x).compile()
        needed[impl] = compiled.memory_analysis().temp_size_in_bytes
    assert needed["dense"] >= 4 * 4096**2 and needed["blockwise"] < needed["dense"] / 6, needed


def test_gradients_are_finite_at_coinciding_rows():
    x = jnp.ones((4, 1))
    gradient = jax.grad(lambda x: geometry(x, x, cross_uniformity=1.0)[0])(x)
    assert np.isfinite(gradient).all()


def test_an_unknown_form_is_the_users_mistake():
    objective = WeightedObjectives((("gap", "geometry", (("impl", "ring"),)),))
    features = {name: Features(pooled=jnp.eye(2)) for name in ("image", "text")}
    with pytest.raises(UserError, match="unknown impl 'ring'"):
        objective.init(jax.random.key(0), features, {}, train=True)


@pytest.mark.slow
def test_meshes_and_micro_batches():
    config = config_of("contrastive_gap", "cuaxu", batch_size=16, embed_dim=8)
    config.towers.image.width, config.towers.text.width = 8, 8
    config.objectives.contrastive.temperature = 0.1
    check_mesh(config)


@pytest.mark.slow
@pytest.mark.claim
def test_alignment_and_uniformity_close_the_gap_and_cross_uniformity_opens_it(tmp_path):
    """Distance of the centroids; R@1 of pictures and labels in an unseen style, chance 0.003."""
    found = {arm: run("contrastive_gap", arm, workdir=tmp_path / arm) for arm in ("clip", "cua", "cuaxu")}
    gap = {arm: metrics["val/gap/modality_gap"] for arm, metrics in found.items()}
    assert gap["cua"] < gap["clip"] / 4 and gap["cuaxu"] > gap["clip"]
    recall = "val/style/text_to_image_R@1"
    assert found["cua"][recall] > found["clip"][recall] - 0.06
