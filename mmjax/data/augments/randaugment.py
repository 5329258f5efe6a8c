"""RandAugment: a few random changes of one strength (Cubuk et al. 2020, arXiv 1909.13719)."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

STRONGEST = 30


@dataclass(frozen=True)
class RandAugment:
    """`count` changes drawn from OPERATIONS, with replacement, each at the same strength m = magnitude / 30.

    Shears go to 0.3, shifts to 150 / 331 of the side, turns to 30 degrees; colour, contrast, brightness and sharpness
    have the factor 1 + 0.9 m; all these to either side alike. Posterising keeps 8 - 4 m bits, solarising inverts from
    255 (1 - m) on. Autocontrast, equalising and doing nothing know no strength. It is torchvision's scale.

    Attributes:
        count: changes to a picture, N.
        magnitude: their strength, M, 0 to 30.
        fill: the colour (R, G, B) that shears, shifts and turns uncover.
    """

    count: int = 2
    magnitude: float = 9.0
    fill: tuple[int, int, int] = (128, 128, 128)

    def __call__(self, image: Image.Image, rng: np.random.Generator, size: int) -> Image.Image:
        for _ in range(self.count):
            operation, back = list(OPERATIONS)[rng.integers(len(OPERATIONS))], rng.random() < 0.5
            strength = self.magnitude / STRONGEST
            image = OPERATIONS[operation](image, -strength if back and operation in SIGNED else strength, self.fill)
        return image


def _moved(matrix):
    """A change of place; `matrix(m, width, height)` goes from a point of the result to that of the picture."""

    def change(image, strength, fill):
        numbers = matrix(strength, *image.size)
        return image.transform(
            image.size, Image.Transform.AFFINE, numbers, Image.Resampling.NEAREST, fillcolor=tuple(fill)
        )

    return change


def _enhanced(kind):
    return lambda image, strength, fill: kind(image).enhance(1 + 0.9 * strength)


def _far(strength, side):
    return math.trunc(150 / 331 * side * strength)


OPERATIONS = {
    "identity": lambda image, strength, fill: image,
    "shear_x": _moved(lambda m, width, height: (1, 0.3 * m, 0, 0, 1, 0)),
    "shear_y": _moved(lambda m, width, height: (1, 0, 0, 0.3 * m, 1, 0)),
    "translate_x": _moved(lambda m, width, height: (1, 0, -_far(m, width), 0, 1, 0)),
    "translate_y": _moved(lambda m, width, height: (1, 0, 0, 0, 1, -_far(m, height))),
    "rotate": lambda image, strength, fill: image.rotate(30 * strength, fillcolor=tuple(fill)),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "color": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "posterize": lambda image, strength, fill: ImageOps.posterize(image, 8 - round(4 * strength)),
    "solarize": lambda image, strength, fill: ImageOps.solarize(image, 255 * (1 - strength)),
    "autocontrast": lambda image, strength, fill: ImageOps.autocontrast(image),
    "equalize": lambda image, strength, fill: ImageOps.equalize(image),
}
SIGNED = tuple(OPERATIONS)[1:10]
