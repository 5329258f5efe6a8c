"""Retrieval against numbers worked out by hand and against a dense numpy ranking, with ties and several positives."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mmjax.errors import UserError
from mmjax.evaluation.ranking import retrieval_ranks, topk
from mmjax.evaluation.retrieval import average_precision, chance_recall, retrieval


def tied(rng, rows, width=6):
    """Rows of small integers: their dot products are exact and tie often."""
    return rng.integers(-1, 2, (rows, width)).astype(np.float32)


def dense_order(x, y):
    return np.argsort(-(x @ y.T), axis=1, kind="stable")


def dense_metrics(x, y, x_ids, y_ids):
    places = [np.flatnonzero(y_ids[row] == i) for row, i in zip(dense_order(x, y), x_ids, strict=True)]
    places = [p for p in places if len(p)]
    first = np.array([p[0] for p in places])
    precisions = [[(n + 1) / (place + 1) for n, place in enumerate(p) if place < 10] for p in places]
    return {
        **{f"R@{k}": np.mean([np.any(p < k) for p in places]) for k in (1, 5, 10)},
        "mean_rank": first.mean() + 1,
        "median_rank": np.floor(np.median(first)) + 1,
        "MRR": np.mean(1 / (first + 1)),
        "mAP@10": np.mean([sum(a) / min(10, len(p)) for a, p in zip(precisions, places, strict=True)]),
        "queries": len(places),
        "hubness": stats.skew(np.bincount(dense_order(x, y)[:, :10].ravel(), minlength=len(y))),
    }


def test_two_images_and_three_captions_by_hand():
    images = np.array([[1, 0], [0, 1]], np.float32)
    captions = np.array([[0.6, 0.8], [1, 0], [0, 1]], np.float32)
    got = retrieval(images, captions, [0, 1], [0, 1, 1], ks=(1, 2, 3, 4))
    # image 0 ranks captions 1, 0, 2 (its own second); image 1 ranks 2, 0, 1 (its own first and third).
    expected = {"R@1": 1 / 2, "R@2": 1, "R@3": 1, "mean_rank": 1.5, "median_rank": 1, "MRR": 0.75}
    expected |= {"mAP@10": (1 / 2 + (1 + 2 / 3) / 2) / 2, "queries": 2, "hubness": 0}  # all captions are among ten
    # captions 0 and 1 rank the wrong image first, caption 2 the right one.
    back = {"R@1": 1 / 3, "R@2": 1, "mean_rank": 5 / 3, "median_rank": 2, "MRR": 2 / 3, "mAP@10": 2 / 3, "queries": 3}
    back["hubness"] = 0
    names = {f"image_to_text_{k}": v for k, v in expected.items()} | {f"text_to_image_{k}": v for k, v in back.items()}
    assert got == pytest.approx(names)
    assert all(type(value) is float for value in got.values())


@pytest.mark.parametrize("block", [7, 1024])
def test_equals_a_dense_ranking_with_ties_and_several_positives(block):
    rng = np.random.default_rng(0)
    x, y = tied(rng, 61), tied(rng, 83)
    x_ids, y_ids = rng.integers(0, 40, 61) * 10**12, rng.integers(0, 40, 83) * 10**12  # beyond int32
    got = retrieval(x, y, x_ids, y_ids, names=("audio", "text"), block=block)
    forth, back = dense_metrics(x, y, x_ids, y_ids), dense_metrics(y, x, y_ids, x_ids)
    assert 0 < forth["queries"] < 61  # some have no correct item and do not count
    expected = {f"audio_to_text_{k}": v for k, v in forth.items()} | {f"text_to_audio_{k}": v for k, v in back.items()}
    assert got == pytest.approx(expected, rel=1e-12)


def test_ranks_mark_queries_without_a_correct_item():
    x, y = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[::-1]
    assert retrieval_ranks(x, y, [5, 6, 7], [7, 8, 5]).tolist() == [0, -1, 0]


@pytest.mark.parametrize("k,block", [(1, 16), (5, 3), (83, 16), (20, 1024)])
def test_topk_is_the_start_of_the_dense_ranking(k, block):
    rng = np.random.default_rng(1)
    x, y = tied(rng, 61), tied(rng, 83)
    indices, scores = topk(x, y, k, block=block)
    order = dense_order(x, y)[:, :k]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(scores, np.take_along_axis(x @ y.T, order, axis=1))


def test_negative_zero_ties_with_zero():
    indices, _ = topk(np.ones((1, 1)), np.array([[-0.0], [0.0]]), 1)
    assert indices.tolist() == [[0]]


@pytest.mark.parametrize("block", [37, 1024])
def test_a_constant_model_scores_chance(block):
    constant = np.random.default_rng(2).normal(size=(1, 48)).astype(np.float32)
    x = np.repeat(constant / np.linalg.norm(constant), 100, axis=0)
    got = retrieval(x, x, np.arange(100), np.arange(100), block=block)
    assert got["image_to_text_R@1"] == 0.01
    assert got["image_to_text_R@10"] == 0.1
    assert got["text_to_image_mean_rank"] == 50.5


def test_average_precision_by_hand():
    relevant = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]], bool)
    expected = [(1 + 2 / 3) / 2, 1 / 3, 1, 0]  # three places bound what the third row can reach, not its 7 items
    np.testing.assert_allclose(average_precision(relevant, np.array([2, 1, 7, 1])), expected)


def test_chance_is_the_mean_over_every_ranking():
    x_ids, y_ids = np.array([0, 1, 1, 9]), np.array([0, 1, 1, 2, 1])
    rankings = [np.array(order) for order in itertools.permutations(y_ids)]
    got = chance_recall(x_ids, y_ids, ks=(1, 2, 5, 6))
    for k in (1, 2, 5):
        hits = [np.mean([i in order[:k] for order in rankings]) for i in (0, 1, 1)]  # id 9 has no correct item
        assert got[f"image_to_text_R@{k}"] == pytest.approx(np.mean(hits))
    assert got["text_to_image_R@1"] == pytest.approx((1 / 4 + 3 * 2 / 4) / 4)
    assert "image_to_text_R@6" not in got  # more than the gallery holds
    assert "text_to_image_R@5" not in got


def test_chance_of_a_large_gallery():
    ids = np.arange(10_000)
    assert chance_recall(ids, ids)["text_to_image_R@10"] == pytest.approx(0.001)


X, Y = np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32)
NAN = np.where(np.arange(4)[:, None] == 2, np.float32("nan"), X)


@pytest.mark.parametrize(
    "x,y,x_ids,y_ids,says",
    [
        (X, Y[:, :3], range(4), range(4), "image embeddings are 4 wide and text embeddings 3"),
        (X, Y, range(3), range(4), "image ids are int64 of shape .3,."),
        (X, Y, range(4), [0.0, 1, 2, 3], "text ids are float64"),
        (NAN, Y, range(4), range(4), "1 of 4 image embeddings are not finite(.|\n)*row 2"),
        (X, np.full_like(Y, np.inf), range(4), range(4), "4 of 4 text embeddings are not finite"),
        (X, Y, range(4), range(10, 14), "no image has a correct text"),
        (X[:0], Y, [], range(4), "image embeddings of shape .0, 4."),
        (X[0], Y, [0], range(4), "image embeddings of shape .4,."),
    ],
)
def test_bad_input_is_named(x, y, x_ids, y_ids, says):
    with pytest.raises(UserError, match=says):
        retrieval(x, y, np.array(x_ids), np.array(y_ids))


@pytest.mark.parametrize("k", [0, 5])
def test_topk_beyond_the_gallery_is_an_error(k):
    with pytest.raises(UserError, match=f"the {k} nearest of 4 gallery rows"):
        topk(X, Y, k)
