"""Out-of-distribution scores against scikit-learn and by hand, and as an evaluation."""

import numpy as np
import pytest
from sklearn import metrics as sk

from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embedded
from mmjax.evaluation.outliers import Outliers, auroc, fpr_at, mcm_scores


def test_auroc_equals_scikit_learn_with_ties():
    inside, outside = np.random.default_rng(0).integers(0, 9, (2, 50)) + np.array([[2], [0]])
    truth = np.repeat([1, 0], 50)
    assert auroc(inside, outside) == pytest.approx(sk.roc_auc_score(truth, np.concatenate([inside, outside])))


def test_fpr_by_hand_and_from_the_curve():
    inside = np.arange(1, 21) / 20  # 95 % of them are at or above .10
    assert fpr_at(inside, [0.05, 0.1, 0.5, 0.0]) == 0.5
    rng = np.random.default_rng(1)
    inside, outside = rng.normal(size=101) + 1, rng.normal(size=77)
    fpr, tpr, _ = sk.roc_curve(np.repeat([1, 0], [101, 77]), np.concatenate([inside, outside]), drop_intermediate=False)
    assert fpr_at(inside, outside) == pytest.approx(fpr[np.argmax(tpr >= 0.95)])


def test_limits():
    assert auroc([1.0, 2.0], [0.0]) == 1.0 and fpr_at([1.0, 2.0], [0.0]) == 0.0
    assert auroc([1.0], [1.0]) == 0.5 and fpr_at([1.0], [1.0]) == 1.0


def test_mcm_is_the_greatest_softmax():
    rng = np.random.default_rng(2)
    images, classes = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rng.normal(size=(n, 4)) for n in (7, 3)))
    logits = images @ classes.T / 0.1
    expected = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).max(1)
    np.testing.assert_allclose(mcm_scores(images, classes, temperature=0.1), expected, rtol=1e-5)


class Embeddings:
    """Pictures of class 0, 1 and 2 near the axis of their class, and those of another source between all."""

    mesh = None

    def rows(self, spec, stream, *, keys=()):
        x = np.eye(3)[np.arange(12) % 3] + 0.1 if spec == "known" else np.ones((5, 3))
        return Embedded((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), np.arange(len(x)), [])

    def labels(self, spec, field, records, language):
        return [f"c{r % 3}" for r in records]

    def texts(self, texts, *, stream):
        return np.eye(3, dtype=np.float32)[[int(t[-1]) for t in texts]]


@pytest.mark.parametrize(
    "option", [{"outside": "other"}, {"unknown": ("c2",)}, {"outside": "other", "unknown": ("c1",)}]
)
def test_an_evaluation_of_sources_and_of_classes_left_out(option):
    result = Outliers("known", templates=("{c}",), **option)(Embeddings())
    assert result.metrics == {"auroc": 1.0, "fpr95": 0.0} and result.chance == {"auroc": 0.5, "fpr95": 0.95}


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: auroc([], [1.0]), "0 known and 1 unknown"),
        (lambda: fpr_at([1.0], [np.nan]), "give finite"),
        (lambda: mcm_scores(np.eye(3), np.eye(3)[:1]), "softmax over 1 classes"),
        (lambda: mcm_scores(np.eye(3), np.eye(3), temperature=0.0), "temperature 0"),
        (lambda: Outliers("known"), "nothing is unknown"),
        (lambda: Outliers("known", unknown=("c7",))(Embeddings()), "no picture of the class 'c7'"),
        (lambda: Outliers("known", unknown=("c0", "c1", "c2"))(Embeddings()), "every class is unknown"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()
