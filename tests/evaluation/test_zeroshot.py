"""Zero-shot classification by hand and against scikit-learn's definitions of the same names."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from mmjax.errors import UserError
from mmjax.evaluation.zeroshot import SIMPLE_TEMPLATES, class_embeddings, prompts, zero_shot


def test_class_embedding_is_the_renormalised_mean_of_unit_features():
    # Features (3, 0) and (0, 1) have the unit mean direction (1, 1) / sqrt 2, whatever their lengths.
    text = np.array([[[3.0, 0.0], [0.0, 1.0]], [[0.0, 2.0], [0.0, 5.0]]])
    np.testing.assert_allclose(class_embeddings(text), [[0.5**0.5, 0.5**0.5], [0, 1]], rtol=1e-6)


def test_metrics_by_hand():
    classes = np.eye(3, dtype=np.float32)
    images = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 1, 0], [0, 0.6, 0.8]], np.float32)
    got = zero_shot(images, [0, 1, 1, 1], classes, ks=(1, 2, 3, 5))
    # Ranks of the labels: 0, 1, 0, 1; class 0 is always right, class 1 once of three; class 2 has no image.
    assert got == pytest.approx({"acc1": 0.5, "acc2": 1, "acc3": 1, "mean_per_class_recall": (1 + 1 / 3) / 2})


def test_equals_scikit_learn():
    rng = np.random.default_rng(0)
    classes = rng.normal(size=(9, 12)).astype(np.float32)
    labels = rng.integers(0, 9, 200)
    images = (classes[labels] + 2 * rng.normal(size=(200, 12))).astype(np.float32)
    got = zero_shot(images, labels, classes, block=64)
    scores = images @ classes.T
    assert 0.2 < got["acc1"] < 0.9
    assert got["acc1"] == pytest.approx(np.mean(scores.argmax(axis=1) == labels))
    assert got["acc5"] == pytest.approx(top_k_accuracy_score(labels, scores, k=5, labels=np.arange(9)))
    assert got["mean_per_class_recall"] == pytest.approx(balanced_accuracy_score(labels, scores.argmax(axis=1)))


def test_equal_class_embeddings_give_no_free_hits():
    got = zero_shot(np.ones((10, 3), np.float32), np.arange(10), np.ones((10, 3), np.float32))
    assert got == pytest.approx({"acc1": 0.1, "acc5": 0.5, "mean_per_class_recall": 0.1})


def test_prompts_fill_every_template():
    texts = prompts(["red {apple}", "cat"], ["a {c}.", "{c} and {c}"])
    assert texts == [["a red {apple}.", "red {apple} and red {apple}"], ["a cat.", "cat and cat"]]
    assert len(prompts(["dog"])[0]) == len(SIMPLE_TEMPLATES) == 7


@pytest.mark.parametrize(
    "call,says",
    [
        (lambda: zero_shot(np.eye(3), [0, 1, 3], np.eye(3)), "label 3 is none of 3 classes(.|\n)*row 2"),
        (lambda: zero_shot(np.eye(3), [0, -1, 2], np.eye(3)), "label -1 is none of 3 classes"),
        (lambda: zero_shot(np.eye(3), [0, 1], np.eye(3)), "labels are int64 of shape"),
        (lambda: class_embeddings(np.eye(3)), "class texts of shape"),
        (lambda: class_embeddings(np.zeros((2, 1, 4))), "length zero"),
        (lambda: class_embeddings([[[1.0, 0.0], [-1.0, 0.0]]]), "length zero"),
        (lambda: prompts(["cat"], ["a photo"]), "'a photo' has no place"),
        (lambda: prompts([]), "0 class names"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()
