"""CiCo: late interaction with a soft maximum, between FILIP and the mean of tokens."""

import numpy as np
import pytest

from mmjax.losses.tokens_scores import MaxSimilarity, SoftMaxSimilarity
from tests.papers import token_cases
from tests.papers.running import check_mesh, config_of, run
from tests.papers.token_cases import arrays, masks

SCORE = SoftMaxSimilarity(0.3)


def test_similarity_is_the_papers():
    values, (x_mask, y_mask) = arrays(), (np.asarray(m) for m in masks())
    to_y, to_x = SCORE(*token_cases.prepared(SCORE, {}), {})
    for i, j in ((0, 1), (3, 6), (7, 7)):
        z = np.asarray(values["x"][i][x_mask[i]] @ values["y"][j][y_mask[j]].T, np.float64)
        for axis, got in ((1, to_y), (0, to_x)):
            weights = np.exp(z / 0.3) / np.exp(z / 0.3).sum(axis, keepdims=True)
            assert got[i, j] == pytest.approx((weights * z).sum(axis).mean(), rel=1e-5)


def test_softness_0_is_filip_and_infinity_the_mean_of_tokens():
    rows = token_cases.prepared(SCORE, {})
    sharp, filip = SoftMaxSimilarity(1e-6)(*rows, {}), MaxSimilarity()(*rows, {})
    np.testing.assert_allclose(sharp, filip, rtol=1e-5, atol=1e-6)
    counts = [np.maximum(np.asarray(r.facts["mask"]).sum(1)[:, None], 1) for r in rows]
    means = [np.asarray(r.values["tokens"]).sum(1) / n for r, n in zip(rows, counts, strict=True)]
    for flat in SoftMaxSimilarity(1e7)(*rows, {}):
        np.testing.assert_allclose(flat, means[0] @ means[1].T, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rule", token_cases.OF_EVERY_SCORE)
def test_rules(rule):
    rule(SCORE, {})


def test_lean_forms_equal_dense(monkeypatch):
    token_cases.lean_forms_equal_dense(SCORE, {}, monkeypatch)


@pytest.mark.slow
def test_a_mesh_and_microbatches_change_nothing():
    check_mesh(config_of("cico", batch_size=16))


@pytest.mark.slow
@pytest.mark.claim
def test_a_soft_maximum_tells_apart_what_the_mean_does_not(tmp_path):
    recall = [run("cico", arg, workdir=tmp_path / arg)["val/test/series_to_text_R@1"] for arg in ("", "pooled")]
    assert recall[0] > recall[1] + 0.05
