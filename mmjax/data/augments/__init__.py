"""Random changes to a training picture, each a small class whose fields are its options."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mmjax.data.augments.colour import Blur, Color, Grayscale, Jitter, Solarize
from mmjax.data.augments.randaugment import RandAugment
from mmjax.data.decoding.images import mirrored
from mmjax.data.entries import build


@dataclass(frozen=True)
class Crop:
    """A random part of the picture, resized to what the model takes (Szegedy et al. 2015, "Inception crop").

    It sees the picture at its own resolution; without it, pictures are resized first.

    Attributes:
        scale: least and greatest share of the picture's area.
        ratio: least and greatest width over height of the part.
    """

    scale: tuple[float, float] = (0.9, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __call__(self, image: Image.Image, rng: np.random.Generator, size: int) -> Image.Image:
        return image.resize((size, size), Image.Resampling.BICUBIC, box=self.box(*image.size, rng))

    def box(self, width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the part."""
        for _ in range(10):
            area = width * height * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
                return left, top, left + w, top + h
        # The picture is too long for the wanted ratios: its middle, as near to them as it gets.
        w = min(width, round(height * self.ratio[1]))
        h = min(height, round(width / self.ratio[0]))
        return (width - w) // 2, (height - h) // 2, (width + w) // 2, (height + h) // 2


@dataclass(frozen=True)
class Affine:
    """A random enlargement, stretch, shift and turn about the middle, in one bilinear resampling.

    Attributes:
        scale: least and greatest enlargement.
        aspect: greatest stretch of width over height: drawn within 1 / (1 + aspect) to 1 + aspect.
        shift: greatest shift along each axis, as a share of the side.
        rotate: greatest turn to either side, in degrees.
        fill: the colour (R, G, B) beyond the edges.
    """

    scale: tuple[float, float] = (0.75, 1.2)
    aspect: float = 0.1
    shift: float = 0.09
    rotate: float = 0.0
    fill: tuple[int, int, int] = (255, 255, 255)

    def __call__(self, image: Image.Image, rng: np.random.Generator, size: int) -> Image.Image:
        unit, aspect, x, y, turn = 2 * rng.random(5) - 1
        scale = (self.scale[0] + self.scale[1]) / 2 + unit * (self.scale[1] - self.scale[0]) / 2
        stretch = math.exp(aspect * math.log1p(self.aspect) / 2)
        matrix = self._inverse(scale * stretch, scale / stretch, x * self.shift, y * self.shift, turn, image.size)
        return image.transform(
            image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=tuple(self.fill)
        )

    def _inverse(self, scale_x, scale_y, shift_x, shift_y, turn, sides):
        """Pillow's matrix: from a point of the result to the point of the picture that it shows."""
        cos, sin = math.cos(turn * math.radians(self.rotate)), math.sin(turn * math.radians(self.rotate))
        a, b, d, e = cos / scale_x, sin / scale_x, -sin / scale_y, cos / scale_y
        middle_x, middle_y = sides[0] / 2, sides[1] / 2
        to_x, to_y = middle_x + shift_x * sides[0], middle_y + shift_y * sides[1]
        return a, b, middle_x - a * to_x - b * to_y, d, e, middle_y - d * to_x - e * to_y


@dataclass(frozen=True)
class Flip:
    """The picture mirrored left to right.

    Attributes:
        probability: how often, 0 to 1.
    """

    probability: float = 0.5

    def __call__(self, image, rng: np.random.Generator, size: int):
        """Pixels (H,W,3) are taken too, and pixels given back."""
        return mirrored(image) if rng.random() < self.probability else image


# Applied in this order, whatever the order of the config's entries: it sorts them by name.
AUGMENTS = {
    "crop": Crop,
    "affine": Affine,
    "flip": Flip,
    "randaugment": RandAugment,
    "color": Color,
    "jitter": Jitter,
    "grayscale": Grayscale,
    "blur": Blur,
    "solarize": Solarize,
}


def build_augments(entries) -> list:
    """The augmentations of `config.data.augment`, name -> {kind, **options}, in the order of AUGMENTS.

    Each is called as `augment(image, rng, size)` and draws alike from generators of the same state for pictures of
    the same size, so that the frames of a clip can be changed alike.

    Raises:
        UserError: a kind or an option that does not exist.
    """
    return build(entries, AUGMENTS, "config.data.augment")
