"""Colour changes against the definitions written out in numpy, and RandAugment against torchvision's."""

import colorsys
import hashlib

import numpy as np
import pytest
from PIL import Image

from mmjax.data.augments.colour import Blur, Grayscale, Jitter, Solarize, add_contrast, brighten, saturate, turn_hue
from mmjax.data.augments.randaugment import OPERATIONS, SIGNED, RandAugment
from mmjax.rng import numpy_generator

GREY = np.array([0.299, 0.587, 0.114])


def picture(height=30, width=42):
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([x * 6 % 256, y * 8 % 256, x * y % 256], -1).astype(np.uint8))


def noise(seed, size=24):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8))


def near(image, expected):
    """Within the rounding of whole greys and of whole results."""
    assert np.abs(np.asarray(image).astype(float) - np.clip(expected, 0, 255)).max() <= 1.5


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.37])
def test_the_definitions(factor):
    image = noise(0)
    values = np.asarray(image).astype(float)
    grey = values @ GREY
    near(brighten(image, factor), factor * values)
    near(add_contrast(image, factor), grey.mean() + factor * (values - grey.mean()))
    near(saturate(image, factor), grey[..., None] + factor * (values - grey[..., None]))


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.0, 0.07, 0.3])
def test_hue_is_turned_on_its_circle(turn):
    colors = np.array([[200, 40, 90], [10, 240, 30], [128, 120, 250], [77, 77, 77]], np.uint8)
    turned = np.asarray(turn_hue(Image.fromarray(colors[None]), turn))[0]
    for color, found in zip(colors / 255, turned, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*color)
        expected = np.array(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)) * 255
        # Both the hue and the turn are cut to whole steps of 1 / 255, and the circle closes after 256 of them; the
        # saturation and the result are whole numbers too.
        assert np.abs(found - expected).max() <= 2.5 * 6 * np.ptp(color) + 2


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()[:12]


def test_the_changes_are_torchvisions():
    """torchvision 0.29.1 with Pillow 13.0.0: transforms.functional.adjust_*, rgb_to_grayscale and solarize."""
    image, rng = picture(), np.random.default_rng(0)
    assert digest(brighten(image, 1.37)) == "05e17a83ceef"
    assert digest(add_contrast(image, 0.6)) == "938dd7c6ce76"
    assert digest(saturate(image, 1.37)) == "6ce904415739"
    assert [digest(turn_hue(image, turn)) for turn in (-0.3, 0.07)] == ["505733234c12", "0d916bb71b3a"]
    assert digest(Grayscale(1.0)(image, rng, 30)) == "5a65fcaef5f5"
    assert digest(Solarize(128, 1.0)(image, rng, 30)) == "e7390492a6a7"


class Draws:
    """A generator whose draws are given."""

    def __init__(self, random, uniforms, order=(0, 1, 2, 3)):
        self._random, self._uniforms, self._order = random, list(uniforms), order

    def random(self):
        return self._random

    def uniform(self, low, high):
        share = np.asarray(self._uniforms.pop(0))
        return np.asarray(low) + share * (np.asarray(high) - low)

    def permutation(self, count):
        return np.array(self._order)


def test_jitter_applies_its_changes_in_the_order_drawn():
    image = noise(1)
    jitter = Jitter(0.4, 0.5, 1.6, 0.2, probability=0.8)
    result = jitter(image, Draws(0.79, [[1.0, 0.0, 0.0], 0.75], (2, 0, 3, 1)), 24)
    expected = add_contrast(turn_hue(brighten(saturate(image, 0.0), 1.4), 0.1), 0.5)
    np.testing.assert_array_equal(result, expected)
    assert jitter(image, Draws(0.8, [[1.0, 0.0, 0.0], 0.75]), 24) is image


def test_jitter_draws_factors_within_their_ranges():
    """On one grey only brightness shows: uniform in 0.6 to 1.4."""
    image = Image.new("RGB", (4, 4), (100, 100, 100))
    jitter = Jitter(0.4, 0.0, 0.0, 0.0, probability=1.0)
    values = [np.asarray(jitter(image, numpy_generator(0, "test", n), 4))[0, 0, 0] for n in range(2000)]
    assert 59 <= min(values) < 62
    assert 138 < max(values) <= 140
    assert np.mean(values) == pytest.approx(100, abs=5 * 23 / np.sqrt(2000))


@pytest.mark.parametrize("kind", [Jitter, Grayscale, Blur, Solarize])
def test_probabilities(kind):
    image = noise(2)
    changed = [
        kind(probability=0.3)(image, numpy_generator(0, "test", n), 24).tobytes() != image.tobytes()
        for n in range(1000)
    ]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.06 if kind is Blur else 0.05)
    assert kind(probability=0.0)(image, numpy_generator(0, "test", 1), 24) is image


def test_grayscale_by_hand():
    image = noise(3)
    grey = np.asarray(Grayscale(1.0)(image, np.random.default_rng(0), 24))
    assert grey.shape == (24, 24, 3)
    assert (grey == grey[..., :1]).all()
    near(grey, np.asarray(image) @ GREY[:, None].repeat(3, 1))


def test_solarize_by_hand():
    values = np.asarray(noise(4))
    solarized = np.asarray(Solarize(100, 1.0)(noise(4), np.random.default_rng(0), 24))
    np.testing.assert_array_equal(solarized, np.where(values < 100, values, 255 - values))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_is_nearly_gaussian(sigma):
    """A point of light spreads by sigma along each axis and stays as bright."""
    point = np.zeros((61, 61, 3), np.uint8)
    point[28:33, 28:33] = 255
    blurred = np.asarray(Blur((sigma, sigma), 1.0)(Image.fromarray(point), np.random.default_rng(0), 61)).astype(float)
    kernel = np.exp(-0.5 * (np.arange(-30, 31) / sigma) ** 2)
    kernel /= kernel.sum()
    smear = np.array([[kernel[30 + i - j] if abs(i - j) <= 30 else 0 for j in range(61)] for i in range(61)])
    expected = smear @ point[..., 0].astype(float) @ smear.T
    assert np.abs(blurred[..., 0] - expected).max() < 5
    assert blurred[..., 0].sum() == pytest.approx(25 * 255, rel=0.06)


# torchvision 0.29.1 with Pillow 13.0.0: the first 12 digits of the SHA-256 of `picture()` after
# transforms.autoaugment._apply_op(picture, name, sign * RandAugment()._augmentation_space(31, (30, 42))[name][9],
# NEAREST, [128, 128, 128]) for both signs.
TORCHVISION = {
    "identity": ["4efac5aba9c6"],
    "shear_x": ["aabaddf6a3f7", "3e56fd373d51"],
    "shear_y": ["77aaf735ea43", "6d104c464a38"],
    "translate_x": ["8db9e51eda55", "3cda5a70a93d"],
    "translate_y": ["1a4de8a0a741", "2ee650352882"],
    "rotate": ["fc85d46827aa", "ef88fead4d9b"],
    "brightness": ["e8c0ae57be9a", "2c6138c79968"],
    "color": ["e34fb1648835", "74bf80edb80d"],
    "contrast": ["68eff433457e", "76f2687f92b6"],
    "sharpness": ["52553b04a6df", "56def7301734"],
    "posterize": ["7a64312889ef"],
    "solarize": ["fc44c4fcc037"],
    "autocontrast": ["0e750331b307"],
    "equalize": ["efc0a618ffa5"],
}


@pytest.mark.parametrize("operation", TORCHVISION)
def test_randaugments_operations_are_torchvisions(operation):
    strengths = [9 / 30, -9 / 30][: 1 + (operation in SIGNED)]
    changed = [OPERATIONS[operation](picture(), strength, (128, 128, 128)) for strength in strengths]
    assert [digest(image) for image in changed] == TORCHVISION[operation]


def test_randaugment_draws_every_operation_alike():
    assert list(OPERATIONS) == list(TORCHVISION)
    image, augment = picture(), RandAugment(count=1, magnitude=9)
    counts = dict.fromkeys([name for names in TORCHVISION.values() for name in names], 0)
    for number in range(4200):
        result = augment(image, numpy_generator(0, "test", number), 30)
        counts[digest(result)] += 1
    assert len(counts) == 23
    for names in TORCHVISION.values():
        for name in names:
            assert abs(counts[name] - 300 / len(names)) < 5 * np.sqrt(300 / len(names))


def test_randaugment_applies_so_many():
    image = picture()
    assert RandAugment(count=0)(image, numpy_generator(0, "test"), 30) is image
    kinds = {RandAugment(2, 0.0)(image, numpy_generator(0, "test", n), 30).tobytes() for n in range(300)}
    weakest = {OPERATIONS[name](image, 0.0, (0, 0, 0)).tobytes() for name in OPERATIONS}
    assert len(weakest) < len(kinds)  # autocontrast and equalising are not weak at strength 0, and go together
