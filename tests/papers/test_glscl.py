"""GLSCL: frames pooled without parameters, and queries that both modalities fill."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses.tokens_queries import query_consistency, query_diversity
from mmjax.objectives.tokens_queries import GlobalLocal
from tests.papers import token_cases
from tests.papers.running import check_mesh, config_of, run
from tests.papers.token_cases import unit

WIDTH = 6
SCORE = GlobalLocal(softness=0.2, queries=3, layers=1, heads=2, local_weight=0.5)


@pytest.fixture(autouse=True)
def wider(monkeypatch):
    """Tokens whose width the heads divide."""
    monkeypatch.setattr(token_cases, "WIDTH", WIDTH)


def test_similarity_is_the_papers():
    params = SCORE.init(jax.random.key(0), WIDTH)
    values, (x_mask, _) = jax.tree.map(np.asarray, token_cases.arrays()), map(np.asarray, token_cases.masks())
    x, y = token_cases.prepared(SCORE, params)
    got = SCORE(x, y, params)[0]
    for i, j in ((0, 1), (3, 3), (6, 7)):
        frames, text = values["x"][i][x_mask[i]], values["y_vector"][j]
        weights = np.exp(frames @ text / 0.2)
        pooled = weights / weights.sum() @ frames
        local = float(np.mean(np.sum(x.values["queries"][i] * y.values["queries"][j], axis=-1)))
        assert float(got[i, j]) == pytest.approx(pooled @ text / np.linalg.norm(pooled) + 0.5 * local, rel=1e-5)


def test_both_sides_share_the_decoder():
    params = SCORE.init(jax.random.key(0), WIDTH)
    x, _ = token_cases.prepared(SCORE, params)
    values, (mask, _) = token_cases.arrays(), token_cases.masks()
    same = token_cases.token_rows(values["x"], mask, vector=values["y_vector"], present=token_cases.X_PRESENT)
    filled = SCORE.prepare(same, params, first=False).values["queries"]
    np.testing.assert_array_equal(filled, x.values["queries"])


@pytest.mark.parametrize("rule", token_cases.OF_EVERY_SCORE)
def test_rules(rule):
    rule(SCORE, SCORE.init(jax.random.key(0), WIDTH))


def test_lean_forms_equal_dense(monkeypatch):
    """By frames, captions and queries: the decoder's gradient comes by its queries, outside of tiles."""
    params = SCORE.init(jax.random.key(0), WIDTH)
    token_cases.lean_forms_equal_dense(SCORE, params, monkeypatch, token_cases.prepared_value_and_gradients)


def test_consistency_by_hand():
    """Two samples, one query: squares 0 and (1 + 1)/2, cosines 1 and 0 of mean 1/2."""
    x, y = jnp.array([[[1.0, 0]], [[1, 0]]]), jnp.array([[[1.0, 0]], [[0, 1]]])
    both = jnp.ones(2, bool)
    assert query_consistency(x, y, both, beta=2.0) == pytest.approx(0.5 + 2 * 0.25**2)
    assert query_consistency(x, y, jnp.array([True, False]), beta=2.0) == pytest.approx(2 * 0.25**2)
    assert query_consistency(x, y, ~both) == 0


def test_mismatched_queries_are_not_consistent_though_their_means_are():
    x, y = unit(0, 4, 2, 5), unit(0, 4, 2, 5)[::-1]
    assert query_consistency(x, y, jnp.ones(4, bool), beta=0.0) > 0.1


def test_diversity_by_hand():
    """Equal queries cost twice the margin, those at most 1 - margin alike nothing."""
    same = jnp.broadcast_to(unit(0, 1, 1, 4), (3, 2, 4))
    there = jnp.ones(3, bool)
    assert query_diversity(same, there, margin=0.1) == pytest.approx(0.2, rel=1e-5)
    assert query_diversity(jnp.eye(4)[None], there[:1], margin=0.1) == 0
    assert query_diversity(same[:, :1], there) == 0
    gradient = jax.grad(lambda q: query_diversity(q, ~there))(same)
    assert not gradient.any()


@pytest.mark.slow
def test_a_mesh_and_microbatches_change_nothing():
    check_mesh(config_of("glscl", batch_size=16, **{"objectives.glscl.queries": 2}))


@pytest.mark.slow
@pytest.mark.claim
def test_frames_pooled_for_a_caption_beat_their_mean(tmp_path):
    recall = [run("glscl", arg, workdir=tmp_path / arg)["val/test/text_to_series_R@1"] for arg in ("", "mean")]
    assert recall[0] > recall[1] + 0.2
