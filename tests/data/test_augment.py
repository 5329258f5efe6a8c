"""Augmentations against pixels worked out by hand, and their random ranges."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from mmjax.data.augments import AUGMENTS, Affine, Crop, Flip, build_augments
from mmjax.data.augments.colour import Color
from mmjax.errors import UserError
from mmjax.rng import numpy_generator


class Fixed:
    """A generator that draws the same share of every range."""

    def __init__(self, share):
        self.share = share

    def random(self, size=None):
        return self.share if size is None else np.full(size, self.share)

    def uniform(self, low, high):
        return low + self.share * (high - low)

    def integers(self, high):
        return int(self.share * high)


def gradient(size=16):
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    return Image.fromarray(np.stack([x * 10, y * 10, np.full_like(x, 90)], -1).astype(np.uint8))


def test_affine_at_rest_changes_nothing():
    picture = gradient()
    rest = Affine(scale=(1.0, 1.0), aspect=0.0, shift=0.0)
    np.testing.assert_array_equal(np.asarray(rest(picture, Fixed(0.5), 16)), np.asarray(picture))


def test_affine_shift_is_right_and_down_and_filled():
    shifted = np.asarray(Affine(scale=(1, 1), aspect=0, shift=0.25, fill=(1, 2, 3))(gradient(), Fixed(1.0), 16))
    np.testing.assert_array_equal(shifted[4:, 4:], np.asarray(gradient())[:12, :12])
    assert (shifted[:4] == (1, 2, 3)).all()
    assert (shifted[:, :4] == (1, 2, 3)).all()


def test_affine_enlarges_about_the_middle():
    larger = np.asarray(Affine(scale=(2, 2), aspect=0, shift=0)(gradient(), Fixed(0.5), 16)).astype(float)
    # A pixel's middle at x + .5 shows the picture's point 8 + (x + .5 - 8) / 2; the red there is 10 (point - .5).
    expected = 10 * (8 + (np.arange(16) + 0.5 - 8) / 2 - 0.5)
    assert np.abs(larger[:, 1:-1, 0] - expected[None, 1:-1]).max() <= 1
    assert np.abs(larger[1:-1, :, 1] - expected[1:-1, None]).max() <= 1


def test_affine_quarter_turn_is_clockwise():
    turned = np.asarray(Affine(scale=(1, 1), aspect=0, shift=0, rotate=90)(gradient(), Fixed(1.0), 16)).astype(int)
    clockwise = np.rot90(np.asarray(gradient()), -1).astype(int)
    assert np.abs(turned - clockwise)[1:-1, 1:-1].max() <= 1


def test_affine_aspect_stretches_width_by_the_ratio():
    square = Image.new("RGB", (64, 64), "white")
    square.paste("black", (16, 16, 48, 48))
    wide = np.asarray(Affine(scale=(1, 1), aspect=0.44, shift=0)(square, Fixed(1.0), 64))[..., 0] < 128
    assert wide.any(0).sum() / wide.any(1).sum() == pytest.approx(1.44, rel=0.06)


def test_crop_of_everything_is_a_resize():
    picture = gradient(16)
    cropped = Crop(scale=(1.0, 1.0), ratio=(1.0, 1.0))(picture, Fixed(0.5), 8)
    np.testing.assert_array_equal(np.asarray(cropped), np.asarray(picture.resize((8, 8), Image.Resampling.BICUBIC)))


def test_crop_areas_and_ratios_stay_in_range():
    rng = np.random.default_rng(0)
    boxes = np.array([Crop(scale=(0.2, 0.6), ratio=(0.5, 2.0)).box(100, 80, rng) for _ in range(2000)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= 100
    assert boxes[:, 3].max() <= 80
    area, ratio = width * height / 8000, width / height
    assert area.min() > 0.19
    assert area.max() < 0.61
    assert area.mean() == pytest.approx(0.4, abs=0.02)
    assert ratio.min() > 0.48
    assert ratio.max() < 2.1
    assert boxes[:, 0].min() == 0
    assert boxes[:, 2].max() == 100


def test_crop_of_a_strip_takes_its_middle():
    assert Crop().box(1000, 10, np.random.default_rng(0)) == (493, 0, 506, 10)


def test_flip():
    picture = gradient()
    assert Flip(0.5)(picture, Fixed(0.7), 16) is picture
    np.testing.assert_array_equal(np.asarray(Flip(0.5)(picture, Fixed(0.2), 16)), np.asarray(picture)[:, ::-1])


def test_color_by_hand():
    """Factors 1.2, 1.2, 1.2 on a picture of one colour: saturate about its grey, contrast about the same, brighten."""
    color = np.array([60.0, 120.0, 90.0])
    grey = color @ [0.299, 0.587, 0.114]
    saturated = grey + 1.2 * (color - grey)
    expected = 1.2 * (grey + 1.2 * (saturated - grey))
    picture = Image.new("RGB", (4, 4), tuple(int(c) for c in color))
    result = np.asarray(Color(0.2, 0.2, 0.2)(picture, Fixed(1.0), 4)).astype(float)
    np.testing.assert_allclose(result[0, 0], expected, atol=1)
    np.testing.assert_array_equal(np.asarray(Color(0.2, 0.2, 0.2)(picture, Fixed(0.5), 4)), np.asarray(picture))


def test_entries_are_built_in_the_order_of_the_kinds():
    entries = {
        "a": {"kind": "flip", "probability": 1.0},
        "b": {"kind": "affine"},
        "c": {"kind": "crop", "scale": (0.5, 1)},
    }
    built = build_augments(entries)
    assert built == [Crop(scale=(0.5, 1)), Affine(), Flip(1.0)]
    order = ["crop", "affine", "flip", "randaugment", "color", "jitter", "grayscale", "blur", "solarize"]
    assert list(AUGMENTS) == order


@pytest.mark.parametrize("entry", [{"kind": "blurr"}, {"kind": "flip", "probabilty": 0.1}])
def test_unknown_kinds_and_options(entry):
    with pytest.raises(UserError, match="blurr|probabilty") as error:
        build_augments({"first": entry})
    assert "data.augment.first" in str(error.value)


@pytest.mark.parametrize("kind", AUGMENTS)
def test_frames_of_one_size_are_changed_alike(kind):
    """Generators of the same state: what is drawn does not depend on the picture's content."""
    rng = np.random.default_rng(1)
    frame, other = (Image.fromarray(rng.integers(0, 255, (60, 64, 3), np.uint8)) for _ in range(2))
    augment = AUGMENTS[kind](**({"probability": 1.0} if kind in ("jitter", "grayscale", "blur", "solarize") else {}))
    for number in range(20):
        one, two = (numpy_generator(0, "test", number) for _ in range(2))
        first, _ = augment(frame, one, 16), augment(other, two, 16)
        assert one.random() == two.random()
        np.testing.assert_array_equal(augment(frame, numpy_generator(0, "test", number), 16), first)
        assert first.mode == "RGB"
    results = {augment(frame, rng, 16).tobytes() for _ in range(20)}
    assert len(results) >= {"flip": 2, "grayscale": 1, "solarize": 1}.get(kind, 10)


def test_the_numbers_of_trained_runs_stay():
    """Digests of what the kinds that trained runs used gave when those runs were made."""
    x, y = np.meshgrid(np.arange(40), np.arange(30))
    picture = Image.fromarray(np.stack([x * 6, y * 8, x * y % 256], -1).astype(np.uint8))
    rng = numpy_generator(0, "data/image", 3, 5)
    for augment in build_augments({k: {"kind": k} for k in ("crop", "affine", "flip", "color")}):
        picture = augment(picture, rng, 24)
    assert hashlib.sha256(picture.tobytes()).hexdigest()[:16] == "84db63f4ce0fac68"
    assert rng.integers(2**32) == 3521391791
