"""The linear probe finds scikit-learn's optimum, chooses its strength on validation rows, and stays in memory."""

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from mmjax.errors import UserError
from mmjax.evaluation import linear_probe as probe
from mmjax.evaluation.linear_probe import linear_probe
from mmjax.evaluation.sharded import one_device
from mmjax.mesh import make_mesh


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 7, 400)
    x = rng.normal(size=(7, 12))[numbers] + 1.6 * rng.normal(size=(400, 12))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return x[:300], numbers[:300] * 5 - 4, x[300:], numbers[300:] * 5 - 4


def scikit(x, labels, l2):
    return LogisticRegression(C=1 / (len(x) * l2), tol=1e-10, max_iter=10_000).fit(x.astype(np.float64), labels)


@pytest.mark.parametrize("sizes", [None, {"data": 2, "fsdp": 4, "tensor": 1}])
def test_equals_scikit_learn_at_a_given_strength(data, sizes):
    x, labels, test, test_labels = data
    mesh = sizes and make_mesh(sizes)
    got = linear_probe(*data, strengths=[1e-3], block=128, mesh=mesh)
    model = scikit(x, labels, 1e-3)
    predicted = model.predict(test)
    assert 0.3 < got["acc1"] < 0.95
    assert got["l2"] == 1e-3
    assert got["acc1"] == pytest.approx(np.mean(predicted == test_labels))
    scores = model.decision_function(test)
    assert got["acc5"] == pytest.approx(top_k_accuracy_score(test_labels, scores, k=5, labels=model.classes_))
    assert got["mean_per_class_recall"] == pytest.approx(balanced_accuracy_score(test_labels, predicted))


@pytest.mark.parametrize("l2", [1e-4, 1e-2, 1.0])
def test_the_optimum_is_scikit_learns(data, l2):
    x, labels, _, _ = data
    classes, numbers = np.unique(labels, return_inverse=True)
    used = np.arange(len(x)) % 3 != 0  # rows that are not used leave no trace
    fit = probe._fitter(x, numbers, 128, one_device())
    weights = fit(np.zeros((len(classes), 13), np.float32), used, l2)
    model = scikit(x[used], labels[used], l2)
    np.testing.assert_allclose(weights[:, :-1], model.coef_, atol=2e-5 / l2)
    bias = weights[:, -1]
    np.testing.assert_allclose(bias - bias.mean(), model.intercept_ - model.intercept_.mean(), atol=2e-5 / l2)


def test_the_strength_is_chosen_on_validation_rows_and_fitted_on_all(data):
    x, labels, test, test_labels = data
    strengths = (1e-6, 1e-3, 1e-2, 1.0)
    train, validation = (x[:60], labels[:60]), (x[60:], labels[60:])
    accuracy = {s: scikit(*train, s).score(*validation) for s in strengths}
    best = max(s for s in strengths if accuracy[s] == max(accuracy.values()))
    assert min(strengths) < best < max(strengths)
    got = linear_probe(*train, test, test_labels, validation=validation, strengths=strengths, block=128)
    assert got["l2"] == best
    assert got["acc1"] == pytest.approx(scikit(x, labels, best).score(test, test_labels))


def test_the_carved_split_is_fixed(data):
    got = linear_probe(*data, block=128)
    assert got["l2"] in probe.STRENGTHS
    assert got == linear_probe(*data, block=128)


def test_memory_does_not_hold_all_logits():
    rows, width, classes, block = 16_384, 4, 500, 64
    blocks = {
        "x": jax.ShapeDtypeStruct((rows // block, block, width + 1), np.float32),
        "label": jax.ShapeDtypeStruct((rows // block, block), np.int32),
        "share": jax.ShapeDtypeStruct((rows // block, block), np.float32),
    }
    weights = jax.ShapeDtypeStruct((classes, width + 1), np.float32)
    compiled = jax.jit(probe._minimise).lower(weights, blocks, jax.ShapeDtypeStruct((), np.float32)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < rows * classes * 4 / 10


@pytest.mark.parametrize(
    "labels,test_label,options,says",
    [
        ([0, 1, 1, 0], 9, {}, "never seen in training: 9"),
        ([4, 4, 4, 4], 4, {}, "all training rows have the label 4"),
        ([0, 1, 1, 0], 0, {"strengths": [0.0]}, "regulariser strengths"),
        ([0, 1, 1, 0], 0, {"strengths": []}, "regulariser strengths"),
        ([0, 1, 1, 0], 0, {"validation": (np.eye(3), [0, 1, 1])}, "validation embeddings 3"),
    ],
)
def test_bad_input_is_named(labels, test_label, options, says):
    with pytest.raises(UserError, match=says):
        linear_probe(np.eye(4), labels, np.eye(4)[:1], [test_label], **options)


def test_one_row_cannot_be_split():
    with pytest.raises(UserError, match="one training row"):
        linear_probe(np.eye(2)[:1], [0], np.eye(2), [0, 0])
