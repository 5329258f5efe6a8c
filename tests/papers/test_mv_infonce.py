"""MV-InfoNCE and MV-DHEL as a paper: two views in closed form, NT-Xent as its bound, meshes, and effective rank."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import mv_dhel, mv_infonce, softmax_contrastive
from tests.papers.running import check_mesh, config_of, run


def two_views(seed=0, rows=6, width=4):
    x = np.random.default_rng(seed).normal(size=(2, rows, width))
    return x / np.linalg.norm(x, axis=2, keepdims=True)


def off_diagonal(z):
    return np.array([np.log(np.exp(np.delete(z[i], i)).sum()) for i in range(len(z))])


def test_two_views_of_mv_dhel_in_closed_form():
    """mean_i[LSE_{j != i} s u_i.u_j + LSE_{j != i} s v_i.v_j - s u_i.v_i] - log 2."""
    u, v = two_views()
    expected = np.mean(off_diagonal(2 * u @ u.T) + off_diagonal(2 * v @ v.T) - 2 * np.sum(u * v, axis=1)) - np.log(2)
    views = [jnp.asarray(x, jnp.float32) for x in (u, v)]
    np.testing.assert_allclose(mv_dhel(views, jnp.float32(2.0)), expected, rtol=1e-5)


def test_two_views_of_mv_infonce_are_at_least_clip():
    """log of a mean of partition sums is at least the mean of their logs; equal where both sums are."""
    u, v = (jnp.asarray(x, jnp.float32) for x in two_views(1))
    s = jnp.float32(4.0)
    assert mv_infonce([u, v], s) > softmax_contrastive(u, v, s) + 1e-4
    basis = jnp.eye(4)
    np.testing.assert_allclose(mv_infonce([basis, basis], s), softmax_contrastive(basis, basis, s), rtol=1e-6)


@pytest.mark.slow
def test_on_meshes_and_micro_batches():
    config = config_of("mv_infonce", "mv_dhel_5", batch_size=16, embed_dim=8)
    config.data.source += ",count=64"
    config.towers.vector.hidden = 8
    check_mesh(config)


@pytest.mark.slow
def test_mv_dhel_uses_more_dimensions(tmp_path):
    rank = {}
    for arm in ("mv_dhel_5", "pairwise_5"):
        rank[arm] = run("mv_infonce", arm, workdir=tmp_path / arm)["val/test/vector_effective_rank"]
    assert rank["mv_dhel_5"] > rank["pairwise_5"] + 2
