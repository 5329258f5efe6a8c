"""CMA: the loss against its formula in numpy, its limits, lean forms, and the narrowed gap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.losses import relieved_contrastive, softmax_contrastive, tiles
from mmjax.objectives import RelievedContrastive, WeightedObjectives
from tests.papers.running import check_mesh, config_of, run

B, D, SCALE = 8, 6, 7.0


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2, B, D))
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_formula(pair):
    """-s x_i.y_i + (1 - r) LSE, which is CE - r LSE, in float64."""
    z = SCALE * np.float64(pair[0]) @ np.float64(pair[1]).T
    partitions = [np.log(np.exp(m).sum(1)) for m in (z, z.T)]
    for relief in (0.0, 0.3, 1.0):
        want = np.mean([np.mean(-np.diag(z) + (1 - relief) * lse) for lse in partitions])
        again = np.mean([np.mean(lse - np.diag(z) - relief * lse) for lse in partitions])
        got = relieved_contrastive(*pair, SCALE, relief=relief)
        np.testing.assert_allclose([got, again], want, rtol=2e-6, atol=1e-6)


def test_limits(pair):
    """Nothing taken off: InfoNCE. All of it: only the positives pull, and rows in place have no gradient along them."""
    np.testing.assert_allclose(relieved_contrastive(*pair, SCALE), softmax_contrastive(*pair, SCALE), rtol=1e-6)
    gradient = jax.grad(lambda x: relieved_contrastive(x, pair[1], SCALE, relief=1.0))(pair[0])
    np.testing.assert_allclose(gradient, -SCALE * pair[1] / B, rtol=1e-4, atol=1e-6)


def test_lean_and_missing(pair, monkeypatch):
    """Tiles give the dense value and gradients; what a missing row holds does not matter."""
    monkeypatch.setattr(tiles, "TILE_ROWS", 3)
    x, y = pair
    there = np.arange(B) != 3

    def loss(x, y, scale, impl):
        return relieved_contrastive(x, y, scale, relief=0.4, x_present=there, impl=impl)

    step = jax.jit(jax.value_and_grad(loss, (0, 1, 2)), static_argnums=3)
    dense = step(x, y, SCALE, "dense")
    broken = np.where(there[:, None], x, np.nan)
    for other in (step(x, y, SCALE, "blockwise"), step(broken, y, SCALE, "dense")):
        for a, b in zip(jax.tree.leaves(other), jax.tree.leaves(dense), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", ["aligned", "one row", "all missing", "zero rows"])
def test_edges(case, pair):
    x, y = pair[:, :1] if case == "one row" else pair
    y = x if case == "aligned" else y
    x = np.zeros_like(x) if case == "zero rows" else x
    there = np.full(len(x), case != "all missing")
    value, gradient = jax.value_and_grad(lambda x: relieved_contrastive(x, y, SCALE, relief=0.5, x_present=there))(x)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if case == "all missing":
        assert value == 0 and not gradient.any()


def test_bad_input(pair):
    with pytest.raises(ValueError, match="relief"):
        relieved_contrastive(*pair, SCALE, relief=1.5)
    objective = WeightedObjectives((("contrast", "relieved", (("relief", -1.0),)),))
    features = {"image": Features(jnp.asarray(pair[0])), "text": Features(jnp.asarray(pair[1]))}
    with pytest.raises(UserError, match="relief"):
        objective.init(jax.random.key(0), features, {}, train=True)
    assert RelievedContrastive().relief == 0.5


@pytest.mark.slow
def test_meshes_and_micro_batches():
    config = config_of("cma", "half", batch_size=16)
    config.data.source = "latent:train,shared=6,widths=6,map=same,noise=0,classes=15,count=128"
    config.towers.vector.hidden = config.towers.text.width = config.embed_dim = 8
    check_mesh(config)


@pytest.mark.slow
@pytest.mark.claim
def test_relief_closes_the_gap(tmp_path):
    found = {arm: run("cma", arm, workdir=tmp_path / arm)["val/gap/modality_gap"] for arm in ("clip", "half")}
    assert found["half"] < found["clip"] / 2
