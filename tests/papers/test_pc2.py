"""PC2: the hinge against numpy, the mixture on numbers made of two, what noisy pairs are given, wrong pairs as data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.data.sources import open_source
from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.losses import noisy_hinge
from mmjax.objectives import PseudoCaptions
from mmjax.objectives.two_gaussians import improved, low_probability, started
from mmjax.training.load import load
from tests.papers.running import check_mesh, config_of, run

B, D = 6, 5


def unit(rng, *shape):
    x = rng.normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("hardest", [True, False])
def test_hinge_formula(rng, hardest):
    """Own captions and lent ones, a margin for each anchor, a missing row on either side."""
    x, y, margins = unit(rng, B, D), unit(rng, B, D), rng.uniform(0.1, 0.4, B).astype(np.float32)
    captions, x_there, y_there = np.array([0, 3, 2, 3, 0, 5]), np.arange(B) != 2, np.arange(B) != 1
    z, want = x @ y.T, np.zeros(B)
    for i in np.flatnonzero(x_there & y_there[captions]):
        c = captions[i]
        others = [k for k in range(B) if k not in (i, c)]
        costs = [
            [max(0, margins[i] + z[i, k] - z[i, c]) for k in others if y_there[k]],
            [max(0, margins[i] + z[k, c] - z[i, c]) for k in others if x_there[k]],
        ]
        want[i] = sum(max(side) if hardest else np.mean(side) for side in costs)
    options = {"captions": captions, "margins": margins, "hardest": hardest}
    options |= {"x_present": x_there, "y_present": y_there}
    got = noisy_hinge(x, y, **options)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(noisy_hinge(x, y, **options, impl="blockwise", block=4), got, rtol=1e-6)


@pytest.mark.parametrize("case", ["aligned", "one row", "zero rows", "all missing"])
def test_edges(case, rng):
    rows = 1 if case == "one row" else B
    x, y = unit(rng, rows, D), unit(rng, rows, D)
    y = x if case == "aligned" else y
    x = np.zeros_like(x) if case == "zero rows" else x
    there = np.full(rows, case != "all missing")
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(noisy_hinge(x, y, x_present=there)))(x)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if case in ("one row", "all missing"):
        assert value == 0 and not gradient.any()


def test_mixture_finds_two_components(rng):
    """Expectation maximisation from the two ends; values that do not count change nothing."""
    values = np.concatenate([rng.normal(0.2, 0.05, 600), rng.normal(0.6, 0.1, 400), np.full(50, 9.0)]).astype(
        np.float32
    )
    valid = np.arange(1050) < 1000
    mixture = started(jnp.asarray(values), valid)
    np.testing.assert_allclose(mixture.mean, [values[:1000].min(), values[:1000].max()], rtol=1e-6)
    for _ in range(60):
        mixture = improved(mixture, jnp.asarray(values), valid)
    np.testing.assert_allclose(mixture.mean, [0.2, 0.6], atol=0.02)
    np.testing.assert_allclose(mixture.weight, [0.6, 0.4], atol=0.03)
    probability = low_probability(mixture, jnp.asarray(values[:1000]))
    assert np.mean((probability > 0.5) == (np.arange(1000) < 600)) > 0.98


def test_mixture_of_equal_values():
    """No width, or nothing at all: finite, and as it was where there is nothing."""
    values = jnp.full(8, 0.3)
    mixture = improved(started(values, jnp.ones(8, bool)), values, jnp.ones(8, bool))
    assert all(np.isfinite(leaf).all() for leaf in mixture)
    same = improved(mixture, values, jnp.zeros(8, bool))
    jax.tree.map(np.testing.assert_array_equal, same, mixture)


def test_noisy_pairs_take_the_caption_of_the_most_alike_clean_pair(rng):
    """By the cosine of predicted classes; clean pairs keep their own."""
    scores = jnp.asarray([[4.0, 0, 0], [0, 4, 0], [3, 0, 0], [0, 3, 1], [4, 0, 0]])
    clean = jnp.asarray([True, True, False, False, False])
    there = jnp.asarray([True, True, True, True, False])
    captions, likeness = PseudoCaptions()._borrowed(scores, clean, there & ~clean)
    tiled = PseudoCaptions(impl="blockwise", block=2)._borrowed(scores, clean, there & ~clean)
    np.testing.assert_array_equal(tiled[0], captions)
    np.testing.assert_allclose(tiled[1], likeness, rtol=1e-6)
    np.testing.assert_array_equal(captions[:4], [0, 1, 0, 1])
    assert likeness[0] == likeness[1] == 1 and 0.9 < likeness[3] < likeness[2] < 1


def test_losses_are_remembered_and_warm_up_counts_all_as_clean(rng):
    x, y = unit(rng, B, D), unit(rng, B, D)
    features, batch = {"image": Features(x), "text": Features(y)}, {"id": jnp.arange(B) * 2}
    objective = PseudoCaptions(examples=20, warmup=1, classes=4, hidden=8)
    variables = objective.init(jax.random.key(0), features, batch, train=True)
    (_, metrics), changed = objective.apply(variables, features, batch, train=True, mutable="state")
    plain = noisy_hinge(x, y, hardest=False)
    np.testing.assert_allclose(metrics["hinge_loss"], plain.mean(), rtol=1e-5)
    assert metrics["clean_share"] == 1
    losses = changed["state"]["example_loss"][:, 0]
    np.testing.assert_allclose(losses[: 2 * B : 2], plain, rtol=1e-5)
    assert np.all(losses[1::2] == -1)
    (_, metrics), _ = objective.apply({**variables, **changed}, features, batch, train=True, mutable="state")
    want = np.mean(low_probability(changed["state"]["mixture"], plain) > 0.5)
    np.testing.assert_allclose(metrics["clean_share"], want, rtol=1e-6)


def test_mismatched_source():
    """A share of samples has another's member, every value stays as often, and the rest is untouched."""
    of = open_source("latent:train,shared=4,widths=4/3,count=50")
    source = open_source("mismatched:share=0.4,members=vector_2,of=latent:train,shared=4,widths=4/3,count=50")
    assert len(source) == 50 and (~source.matched).sum() == 20
    for i in range(50):
        np.testing.assert_array_equal(source[i]["vector"], of[i]["vector"])
        assert np.array_equal(source[i]["vector_2"], of[i]["vector_2"]) == source.matched[i]
    given = sorted(float(source[i]["vector_2"][0]) for i in range(50))
    np.testing.assert_array_equal(given, sorted(float(of[i]["vector_2"][0]) for i in range(50)))
    assert source.fingerprint() != of.fingerprint() and source.width("vector_2") == 3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("share=0.4", "without a source"),
        ("share=1.5,of=latent:train", "share=1.5"),
        ("members=jpg,of=latent:train", "no member 'jpg'"),
        ("kind=all,of=latent:train", "no setting 'kind'"),
    ],
)
def test_bad_specs(spec, message):
    with pytest.raises(UserError, match=message):
        open_source(f"mismatched:{spec}")


@pytest.mark.slow
def test_meshes_and_micro_batches():
    config = config_of("pc2", batch_size=16)
    config.data.source = "mismatched:share=0.4,members=vector_2,of=latent:train,shared=4,widths=6/5,count=64"
    config.towers.vector.hidden = config.towers.vector_2.hidden = config.embed_dim = 8
    config.objectives.hinge.update({"warmup": 1, "classes": 4, "hidden": 8})
    check_mesh(config, steps=3)


@pytest.mark.slow
def test_wrong_pairs_are_found(tmp_path):
    """The remembered losses of wrong pairs are above those of right ones: area under the curve above 0.9."""
    run("pc2", workdir=tmp_path)
    experiment, state = load(tmp_path)
    source = open_source(experiment.config.data.source)
    losses = np.asarray(state.objective_state["hinge"]["example_loss"])[: len(source), 0]
    right, wrong = losses[source.matched], losses[~source.matched]
    assert np.mean(wrong[:, None] > right[None, :]) > 0.9
