"""Few-shot probes: what is drawn, prototypes by hand, growth with shots, and as an evaluation."""

import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embedded
from mmjax.evaluation.few_shot import FewShot, draw_shots, few_shot, prototypes


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def classes(seed, rows=60, noise=1.2):
    """Rows of classes 10, 20, 30 around three axes."""
    rng, labels = np.random.default_rng(seed), np.arange(rows) % 3
    return unit(2 * np.eye(3, 8)[labels] + noise * rng.normal(size=(rows, 8))), 10 * (labels + 1)


def test_prototypes_are_unit_means():
    rows = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    means, labels = prototypes(rows, np.array([7, 7, 2]))
    np.testing.assert_allclose(means, [[0, 1], [1.6 / 3.2**0.5, 0.8 / 3.2**0.5]], atol=1e-6)
    assert labels.tolist() == [2, 7]


def test_every_class_gives_as_many_different_rows():
    labels = np.random.default_rng(0).integers(0, 4, 50)
    rows = draw_shots(labels, 3, np.random.default_rng(1))
    assert np.bincount(labels[rows]).tolist() == [3, 3, 3, 3] and len(set(rows.tolist())) == 12
    assert draw_shots(labels, 0, None).tolist() == list(range(50))


def test_one_shot_prototypes_are_the_nearest_example():
    train, labels = classes(0)
    test, test_labels = classes(1)
    rows = draw_shots(labels, 1, np.random.default_rng(2))
    means, of = prototypes(train[rows], labels[rows])
    expected = np.mean(of[(test @ means.T).argmax(1)] == test_labels)
    nearest = labels[rows][(test @ train[rows].T).argmax(1)]
    assert np.mean(nearest == test_labels) == expected


@pytest.mark.parametrize("probe", ["prototype", "linear"])
def test_more_shots_help(probe):
    train, test = classes(0), classes(1)
    accuracies = [few_shot(*train, *test, shots=k, draws=3, probe=probe).mean() for k in (2, 20)]
    assert accuracies[1] > accuracies[0] > 1 / 3
    again = few_shot(*train, *test, shots=2, draws=3, probe=probe).mean()
    assert again == accuracies[0]


class Embeddings:
    mesh = None

    def rows(self, spec, stream, *, keys=()):
        vectors, self.of = classes(len(spec))
        return Embedded(vectors, np.arange(len(vectors)), [])

    def labels(self, spec, field, records):
        return [str(v) for v in classes(len(spec))[1][records]]


def test_an_evaluation():
    result = FewShot("train", "test", shots=(2, 0), draws=2)(Embeddings())
    assert set(result.metrics) == {"2_shot_acc1", "2_shot_sd", "acc1"}
    assert result.metrics["acc1"] > 0.8 and result.chance == {"2_shot_acc1": 1 / 3, "acc1": 1 / 3}


TRAIN, TEST = classes(0), classes(1)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: few_shot(*TRAIN, *TEST, shots=21), "class 10 has 20 training rows of 21"),
        (lambda: few_shot(*TRAIN, *TEST, shots=1, draws=0), "0 draws"),
        (lambda: few_shot(*TRAIN, *TEST, shots=1, probe="svm"), "probe 'svm'"),
        (lambda: few_shot(*TRAIN, TEST[0], TEST[1] + 1, shots=1), "never seen in training: 11"),
        (
            lambda: few_shot(TRAIN[0][::3], TRAIN[1][::3], TEST[0][::3], TEST[1][::3], shots=0),
            "one class is always right",
        ),
        (lambda: FewShot("a", "b", probe="svm"), "no probe 'svm'"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()
