"""Weighted k-NN by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from mmjax.errors import UserError
from mmjax.evaluation.knn import knn


def clusters(seed=0, rows=240, classes=6, noise=0.9):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows) * 7 - 3  # neither contiguous nor non-negative
    centres = rng.normal(size=(classes, 10))
    x = centres[(labels + 3) // 7] + noise * rng.normal(size=(rows, 10))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels


def test_near_vote_outweighs_two_far_ones_only_when_cold():
    train = np.array([[1, 0], [0.6, 0.8], [0.6, -0.8]], np.float32)
    test = np.array([[1, 0]], np.float32)
    # Votes exp(1/t) against 2 exp(0.6/t): equal at t = 0.4 / ln 2 = 0.577.
    assert knn(train, [1, 2, 2], test, [1], k=3, temperature=0.5)["acc1"] == 1
    assert knn(train, [1, 2, 2], test, [1], k=3, temperature=0.7)["acc1"] == 0
    assert knn(train, [1, 2, 2], test, [1], k=1, temperature=0.7)["acc1"] == 1


@pytest.mark.parametrize("k,temperature", [(1, 0.1), (15, 0.1), (150, 0.02), (150, 1.0)])
def test_equals_scikit_learn(k, temperature):
    x, labels = clusters()
    votes = KNeighborsClassifier(k, metric="cosine", weights=lambda d: np.exp((1 - d) / temperature))
    predicted = votes.fit(x[:160], labels[:160]).predict(x[160:])
    got = knn(x[:160], labels[:160], x[160:], labels[160:], k=k, temperature=temperature, block=32)
    assert 0.3 < got["acc1"] < 1
    assert got["acc1"] == pytest.approx(np.mean(predicted == labels[160:]))
    assert got["mean_per_class_recall"] == pytest.approx(balanced_accuracy_score(labels[160:], predicted))


def test_a_tiny_temperature_does_not_overflow():
    x, labels = clusters()
    cold = knn(x[:160], labels[:160], x[160:], labels[160:], k=50, temperature=1e-5)
    assert cold == knn(x[:160], labels[:160], x[160:], labels[160:], k=1)


@pytest.mark.parametrize(
    "labels,options,says",
    [
        ([0, 1, 1], {"k": 4}, "the 4 nearest of 3 training rows"),
        ([0, 1, 1], {"k": 1, "temperature": 0.0}, "temperature 0.0"),
        ([0, 1, 5], {"k": 1}, "1 classes to predict were never seen in training: 2"),
        ([0, 1], {"k": 1}, "training labels are int64 of shape"),
        ([0, 0, 0], {"k": 1}, "all training rows have the label 0"),
    ],
)
def test_bad_input_is_named(labels, options, says):
    with pytest.raises(UserError, match=says):
        knn(np.eye(3), labels, np.eye(3)[:1], [2] if 5 in labels else [0], **options)
