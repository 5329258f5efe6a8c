"""Rank correlation against SciPy, with ties, and as an evaluation of pairs of sentences."""

import json

import numpy as np
import pytest
from scipy import stats

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.sentences import SentenceSimilarity, mean_ranks, spearman


def test_equals_scipy_with_ties():
    x, y = np.random.default_rng(0).integers(0, 6, (2, 40))
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert mean_ranks(x).tolist() == stats.rankdata(x).tolist()


def test_limits():
    x = np.random.default_rng(1).normal(size=9)
    assert spearman(x, np.exp(3 * x)) == pytest.approx(1) and spearman(x, -x) == pytest.approx(-1)


def jsonl(path, scores):
    pairs = [("a b c d", "a b c d"), ("a b c d", "a b c x"), ("a b c d", "a b x y"), ("a b c d", "x y z w")]
    rows = [{"sentence1": a, "sentence2": b, "score": s} for (a, b), s in zip(pairs, scores, strict=True)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return f"jsonl:{path}"


@pytest.fixture
def embeddings():
    """Counts of tokens, folded."""

    def encode(stream, batch):
        x = np.zeros((len(batch[stream]), 64), np.float32)
        for row, ids, mask in zip(x, batch[stream], batch[f"{stream}_mask"], strict=True):
            np.add.at(row, ids[mask] % 64, 1.0)
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1)  # padding is of length zero

    return Embeddings(encode, config_lib.default().data, 8, None)


@pytest.mark.parametrize(("scores", "correlation"), [((5, 4, 2, 0.5), 1.0), ((0, 1, 2, 3), -1.0)])
def test_an_evaluation(tmp_path, embeddings, scores, correlation):
    result = SentenceSimilarity(jsonl(tmp_path / "a.jsonl", scores))(embeddings)
    assert result.metrics == {"spearman": pytest.approx(correlation), "pairs": 4.0}


def test_scores_that_are_no_numbers(tmp_path, embeddings):
    with pytest.raises(UserError, match="'high' is no score"):
        SentenceSimilarity(jsonl(tmp_path / "a.jsonl", (1, 2, "high", 3)))(embeddings)


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        ([1.0], [2.0], "rank correlation of .1,."),
        ([1.0, 2.0], [1.0], "rank correlation of .2,. and .1,."),
        ([1.0, np.nan], [1.0, 2.0], "finite"),
        ([1.0, 1.0], [1.0, 2.0], "all equal"),
    ],
)
def test_bad_input_is_named(x, y, says):
    with pytest.raises(UserError, match=says):
        spearman(x, y)
