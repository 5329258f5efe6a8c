"""Input-label contrast: a classifier's cross-entropy, duplicates of a label, meshes, and its paper config."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.losses import input_label_contrastive, softmax_contrastive
from mmjax.losses.input_label import first_of_each
from mmjax.objectives import InputLabel
from tests.losses.properties import OF_EVERY_LOSS, Case, unit_rows
from tests.papers.running import check_mesh, config_of, run

LABELS = np.array([4, 4, 2, 0, 2, 2, 7, 4])


def reference(x, y, x_present, y_present, labels=LABELS, scale=9.0):
    """Cross-entropy over the labels that occur, each by its first embedding."""
    first = {}
    for j in np.flatnonzero(y_present):
        first.setdefault(labels[j], y[j])
    losses = []
    for i in np.flatnonzero(x_present):
        if labels[i] in first:
            z = {label: scale * x[i] @ vector for label, vector in first.items()}
            losses.append(np.log(sum(np.exp(v) for v in z.values())) - z[labels[i]])
    return np.mean(losses)


CASE = Case(
    lambda x, y, p, q, rows: input_label_contrastive(x, y, jnp.asarray(LABELS[rows]), 9.0, x_present=p, y_present=q),
    reference,
)


@pytest.mark.parametrize("holds", [h for h in OF_EVERY_LOSS if h.__name__ != "rows_missing_in_both_might_not_be_there"])
def test_properties(holds):
    holds(CASE)


def grads(loss):
    return jax.jit(jax.value_and_grad(loss, (0, 1)))


def embedded(labels=LABELS):
    """Inputs, and the embedding of each one's label: equal for equal labels."""
    return jnp.float32(unit_rows(0)), jnp.float32(unit_rows(1)[labels])


def test_with_all_labels_in_the_batch_it_is_a_classifiers_cross_entropy():
    """Weights = embedded labels; value and gradients by inputs and weights."""
    x, weights = jnp.float32(unit_rows(0)), jnp.float32(unit_rows(2, (5, 4)))
    labels = jnp.array([0, 3, 1, 2, 4, 3, 3, 0])

    def classifier(x, weights):
        log_p = jax.nn.log_softmax(9.0 * x @ weights.T, axis=1)
        return -jnp.mean(log_p[jnp.arange(8), labels])

    def contrast(x, weights):
        return input_label_contrastive(x, weights[labels], labels, 9.0)

    of = [grads(loss)(x, weights) for loss in (contrast, classifier)]
    for got, expected in zip(*map(jax.tree.leaves, of), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_rows_as_negatives_are_a_prior_of_the_labels_frequencies():
    """Plain InfoNCE with equal rows for equal labels: the cross-entropy of logits plus log n_c, and a constant."""
    x, y = embedded()
    count = np.array([np.sum(label == LABELS) for label in LABELS])
    first = np.asarray(first_of_each(jnp.asarray(LABELS), jnp.ones(8, bool)))
    z = 9.0 * np.asarray(x, np.float64) @ np.asarray(y, np.float64).T
    expected = np.mean(np.log(np.sum(np.exp(z + np.log(count)) * first, 1)) - np.diag(z))
    assert softmax_contrastive(x, y, 9.0, direction="x_to_y") == pytest.approx(expected, rel=1e-5)


def test_the_first_that_is_present_stands_for_its_label():
    present = jnp.array([0, 1, 1, 0, 0, 1, 1, 1], bool)
    first = first_of_each(jnp.asarray(LABELS), present)
    np.testing.assert_array_equal(np.flatnonzero(first), [1, 2, 6])


def test_blockwise_is_dense():
    of = [
        grads(lambda x, y, i=impl: input_label_contrastive(x, y, jnp.asarray(LABELS), 9.0, impl=i))(*embedded())
        for impl in ("blockwise", "dense")
    ]
    for got, expected in zip(*map(jax.tree.leaves, of), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_the_objective_reads_the_labels():
    x, y = embedded()
    features, batch = {"text": Features(pooled=x), "text_2": Features(pooled=y)}, {"label": jnp.asarray(LABELS)}
    objective = InputLabel(streams=("text", "text_2"), temperature=0.1)
    params = objective.init(jax.random.key(0), features, batch, train=True)
    loss, metrics = objective.apply(params, features, batch, train=True)
    assert loss == pytest.approx(float(input_label_contrastive(x, y, jnp.asarray(LABELS), 10.0)), rel=1e-5)
    assert metrics["logit_scale"] == pytest.approx(10, rel=1e-6)


def test_misuse():
    x, y = embedded()
    with pytest.raises(ValueError, match="ids are float32"):
        input_label_contrastive(x, y, jnp.ones(8), 9.0)
    with pytest.raises(ValueError, match=r"y_present \(2,\) must be \(8,\)"):
        input_label_contrastive(x, y, jnp.asarray(LABELS), 9.0, y_present=jnp.ones(2, bool))


@pytest.mark.slow
def test_meshes_and_micro_batches():
    check_mesh(config_of("primer", "labels", batch_size=16, embed_dim=8, **{"towers.text.width": 8}), steps=1)


@pytest.mark.slow
def test_labels_by_their_names(tmp_path):
    """Of 68 groups' names the right one for 48 to 50 % of concepts never seen (seeds 0, 1, 2)."""
    assert run("primer", "labels", workdir=tmp_path)["val/subgroup/acc1"] > 0.35
