"""Random changes to the colours and the sharpness of a training picture."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from mmjax.data.entries import check_span


@dataclass(frozen=True)
class Color:
    """Random saturation, then contrast about the mean grey, then brightness, as one linear map clipped at its end.

    Attributes:
        brightness: factor drawn within 1 - brightness to 1 + brightness.
        contrast: likewise.
        saturation: likewise.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __call__(self, image: Image.Image, rng: np.random.Generator, size: int) -> Image.Image:
        strengths = np.array([self.brightness, self.contrast, self.saturation])
        brightness, contrast, saturation = 1 + strengths * (2 * rng.random(3) - 1)
        grey = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as in Pillow's own greys
        mean = float(np.asarray(image).reshape(-1, 3).mean(0) @ grey)
        matrix = np.empty((3, 4))
        matrix[:, :3] = brightness * contrast * (saturation * np.eye(3) + (1 - saturation) * grey[None, :])
        matrix[:, 3] = brightness * (1 - contrast) * mean
        return image.convert("RGB", tuple(matrix.ravel()))


@dataclass(frozen=True)
class Jitter:
    """SimCLR's colour jitter: four changes in random order, rounded to whole values after each; torchvision's
    ColorJitter (Chen et al. 2020, arXiv 2002.05709, appendix A, at strength 1/2).

    Attributes:
        brightness: factor drawn within 1 - brightness to 1 + brightness, and never below 0.
        contrast: likewise, about the picture's mean grey.
        saturation: likewise, about each pixel's grey.
        hue: greatest turn of the hue, as a share of the circle; at most 0.5.
        probability: how often, 0 to 1.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    probability: float = 0.8

    def __call__(self, image: Image.Image, rng: np.random.Generator, size: int) -> Image.Image:
        wanted = rng.random() < self.probability
        strengths = np.array([self.brightness, self.contrast, self.saturation])
        factors = rng.uniform(np.maximum(0, 1 - strengths), 1 + strengths)
        turn, order = rng.uniform(-self.hue, self.hue), rng.permutation(4)
        changes = [*zip(CHANGES, factors, strict=True), (turn_hue, turn)]
        for change, amount in (changes[place] for place in order) if wanted else ():
            image = change(image, amount)
        return image


def brighten(image: Image.Image, factor: float) -> Image.Image:
    """Every value times `factor`."""
    return ImageEnhance.Brightness(image).enhance(factor)


def add_contrast(image: Image.Image, factor: float) -> Image.Image:
    """Every value's distance from the picture's mean grey times `factor`."""
    return ImageEnhance.Contrast(image).enhance(factor)


def saturate(image: Image.Image, factor: float) -> Image.Image:
    """Every value's distance from its pixel's grey times `factor`."""
    return ImageEnhance.Color(image).enhance(factor)


def turn_hue(image: Image.Image, turn: float) -> Image.Image:
    """Hues turned by a share of the circle, -0.5 to 0.5, in steps of 1/256."""
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(int(turn * 255) % 256)  # wraps around
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


CHANGES: tuple[Callable[[Image.Image, float], Image.Image], ...] = (brighten, add_contrast, saturate)


@dataclass(frozen=True)
class Grayscale:
    """The picture without its colours.

    Attributes:
        probability: how often, 0 to 1.
    """

    probability: float = 0.2

    def __call__(self, image: Image.Image, rng: np.random.Generator, size: int) -> Image.Image:
        return image.convert("L").convert("RGB") if rng.random() < self.probability else image


@dataclass(frozen=True)
class Blur:
    """A Gaussian blur, of which three box filters in turn are a near likeness; edges are continued.

    Attributes:
        sigma: least and greatest standard deviation in pixels.
        probability: how often, 0 to 1.
    """

    sigma: tuple[float, float] = (0.1, 2.0)
    probability: float = 0.5

    def __post_init__(self):
        check_span("sigma", self.sigma)

    def __call__(self, image: Image.Image, rng: np.random.Generator, size: int) -> Image.Image:
        wanted, sigma = rng.random() < self.probability, rng.uniform(*self.sigma)
        return image.filter(ImageFilter.GaussianBlur(sigma)) if wanted else image


@dataclass(frozen=True)
class Solarize:
    """Bright values inverted (Grill et al. 2020, BYOL, arXiv 2006.07733, appendix B).

    Attributes:
        threshold: the least value, of 0 to 255, that is inverted.
        probability: how often, 0 to 1.
    """

    threshold: int = 128
    probability: float = 0.2

    def __call__(self, image: Image.Image, rng: np.random.Generator, size: int) -> Image.Image:
        return ImageOps.solarize(image, self.threshold) if rng.random() < self.probability else image
