"""CLOSE's adapters against their definitions, and a classifier that crosses a modality gap with their help."""

import numpy as np
import pytest
from running import config_of

from mmjax.config import validate
from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embedded
from mmjax.evaluation.kinds import build_evaluations
from mmjax.evaluation.text_adapters import ADAPTERS, MOVES, make_adapter, unit
from mmjax.evaluation.text_only import TextOnly, text_only_probe
from mmjax.training.train import train


def rng(seed=0):
    return np.random.default_rng(seed)


def pairs(rows=40, width=6, seed=0):
    texts = unit(rng(seed).normal(size=(rows, width)))
    turn = np.linalg.qr(rng(seed + 1).normal(size=(width, width)))[0]
    return unit(texts @ turn + 0.5), texts


def test_no_adapter_keeps_the_texts_and_noise_has_the_size_it_says():
    _, texts = pairs()
    np.testing.assert_allclose(make_adapter("none")(texts, rng()), texts, atol=1e-7)
    noise = 0.1 * rng(5).normal(size=texts.shape)
    np.testing.assert_allclose(make_adapter("noise", noise=0.1)(texts, rng(5)), unit(texts + noise), atol=1e-12)


def test_a_shift_moves_the_mean_of_texts_onto_that_of_images():
    images, texts = pairs()
    got = make_adapter("shift", images, texts, noise=0.0)(texts, rng())
    np.testing.assert_allclose(got, unit(texts + (images - texts).mean(0)), atol=1e-6)


def test_a_linear_map_finds_the_map_that_there_is():
    _, texts = pairs()
    turn = np.linalg.qr(rng(9).normal(size=(6, 6)))[0]
    got = make_adapter("linear", texts @ turn, texts, noise=0.0)(texts, rng())
    np.testing.assert_allclose(got, texts @ turn, atol=1e-6)


def test_covariance_noise_has_the_distribution_of_the_differences():
    images, texts = pairs()
    zeros = np.zeros((20000, 6))
    drawn = MOVES["covariance"](images, texts)(zeros, rng())
    differences = images - texts
    np.testing.assert_allclose(drawn.mean(0), differences.mean(0), atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(differences.T, bias=True), atol=0.02)


def gap_world(seed, classes=12, width=32, rows=240, gap=1.2, turn=0.6):
    """Texts and images of classes: the images lie off by one shift for all and by directions of their own."""
    world = rng(seed)
    centres, shift = world.normal(size=(classes, width)), world.normal(size=width)
    twist = turn * world.normal(size=(width, width)) / width**0.5

    def draw(of_images):
        labels = np.arange(rows) % classes
        z = centres[labels] + 1.5 * world.normal(size=(rows, width))
        return unit(z + (gap * shift + z @ twist) * of_images), labels

    texts, labels = draw(False)
    return texts, labels, draw(True), (draw(True)[0], draw(False)[0])


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_adapter_learns_from_texts(adapter):
    texts, labels, (images, image_labels), _ = gap_world(0, gap=0.0, turn=0.0)
    made = make_adapter(adapter, images, texts, noise=0.05)
    assert text_only_probe(texts, labels, images, image_labels, made, draws=2)["acc1"] > 0.6


class Embeddings:
    """The same world as sources: captions to train on, pictures to test on, and pairs."""

    mesh = None

    def __init__(self):
        texts, self.classes, (images, _), (paired_images, paired_texts) = gap_world(1)
        self.of = {("texts", "text"): texts, ("images", "image"): images}
        self.of |= {("pairs", "image"): paired_images, ("pairs", "text"): paired_texts}

    def rows(self, spec, stream, **_):
        vectors = self.of[spec, stream].astype(np.float32)
        return Embedded(vectors, np.arange(len(vectors)), [])

    def labels(self, spec, field, records):
        return [f"class {self.classes[r]}" for r in records]


def test_an_evaluation_that_moves_texts_where_images_are():
    plain = TextOnly("texts", "images", adapter="none")(Embeddings())
    moved = TextOnly("texts", "images", pairs="pairs", adapter="shift")(Embeddings())
    assert moved.metrics["acc1"] > plain.metrics["acc1"] + 0.05
    assert plain.chance["acc1"] == pytest.approx(1 / 12)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: make_adapter("rotate"), "adapter 'rotate'"),
        (lambda: make_adapter("noise", noise=-1.0), "noise -1"),
        (lambda: make_adapter("shift"), "made from pairs"),
        (lambda: make_adapter("linear", np.eye(3), np.eye(4)[:, :3]), "3 images and 4 texts"),
        (lambda: TextOnly("a", "b", adapter="linear"), "needs pairs"),
        (lambda: TextOnly("a", "b", adapter="turn"), "no adapter 'turn'"),
        (lambda: text_only_probe(np.eye(3), [0, 1, 2], np.eye(3), [0, 1, 2], make_adapter("none"), draws=0), "0 draws"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()


@pytest.mark.parametrize("arg", ["", "none", "linear", "full"])
def test_every_arm_is_a_config(arg):
    config = config_of("close", arg)
    validate(config)
    assert build_evaluations(config) or arg == "full"


@pytest.mark.slow
@pytest.mark.claim
def test_the_config_claims(tmp_path):
    """Noise helps a probe of captions to tell pictures: gains .13, .12 and .03 with seeds 0 to 2."""
    config = config_of("close", "noise")
    config.evaluations.without = config_of("close", "none").evaluations.group
    metrics = train(config, tmp_path)["metrics"]
    assert metrics["val/group/acc1"] > metrics["val/without/acc1"] + 0.05
