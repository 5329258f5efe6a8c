"""GRAM as a paper: all volumes of three unit vectors by the closed form, meshes, and what volumes find and what not."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import gram_volume
from tests.papers.running import check_mesh, config_of, run


def test_the_determinant_of_three_unit_vectors():
    """det G = 1 + 2 tv ta va - tv^2 - ta^2 - va^2."""
    x = np.random.default_rng(0).normal(size=(3, 7, 5))
    t, v, a = x / np.linalg.norm(x, axis=2, keepdims=True)
    tv, ta, va = (np.sum(p * q, axis=1) for p, q in ((t, v), (t, a), (v, a)))
    expected = np.sqrt(1 + 2 * tv * ta * va - tv**2 - ta**2 - va**2)
    np.testing.assert_allclose(gram_volume([jnp.asarray(p, jnp.float32) for p in (t, v, a)]), expected, rtol=1e-5)


@pytest.mark.parametrize("arm", ["gram", "both"])
@pytest.mark.slow
def test_on_meshes_and_micro_batches(arm):
    config = config_of("gram", arm, batch_size=16, embed_dim=8)
    config.data.source += ",count=64"
    config.objectives.gram.temperature = 1.0  # a smaller one multiplies the rounding of sums in another order
    for tower in config.towers.values():
        tower.hidden = 8
    check_mesh(config)


@pytest.mark.slow
def test_volumes_find_tuples_and_pairs_find_more_besides(tmp_path):
    found = {}
    for arm in ("gram", "anchor", "both"):
        metrics = run("gram", arm, workdir=tmp_path / arm)
        found[arm] = {c: metrics[f"val/{c}/vector_2+vector_3_to_vector_R@1"] for c in ("volume", "sum")}
        found[arm]["pair"] = metrics["val/sum/vector_2_to_vector_3_R@1"]
    assert found["gram"]["volume"] > 0.8 and abs(found["gram"]["volume"] - found["anchor"]["sum"]) < 0.1
    assert found["gram"]["pair"] < 0.5 < found["anchor"]["pair"] and found["both"]["pair"] > 0.5
