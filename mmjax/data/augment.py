"""Random changes to a training picture, each a small class whose fields are its options."""

import math
from dataclasses import dataclass, fields

import numpy as np
from PIL import Image

from mmjax.errors import UserError


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
        return image.resize((size, size), Image.Resampling.BICUBIC, box=self._box(*image.size, rng))

    def _box(self, width, height, rng):
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

    def __call__(self, image: Image.Image, rng: np.random.Generator, size: int) -> Image.Image:
        flipped = rng.random() < self.probability
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flipped else image


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


# Applied in this order, whatever the order of the config's entries: it sorts them by name.
AUGMENTS = {"crop": Crop, "affine": Affine, "flip": Flip, "color": Color}


def build_augments(entries) -> list:
    """The augmentations of `config.data.augment`, name -> {kind, **options}, in the order of AUGMENTS.

    Raises:
        UserError: a kind or an option that does not exist.
    """
    order = list(AUGMENTS)
    return [
        _build(name, dict(entry))
        for name, entry in sorted(entries.items(), key=lambda item: _place(item[0], item[1]["kind"], order))
    ]


def _place(name, kind, order):
    if kind not in order:
        raise UserError(
            f"unknown augmentation {kind!r}",
            where=f"config.data.augment.{name}.kind",
            remedy=f"one of {', '.join(order)}",
        )
    return order.index(kind), name


def _build(name, options):
    kind = AUGMENTS[options.pop("kind")]
    known = [field.name for field in fields(kind)]
    if unknown := set(options) - set(known):
        where = f"config.data.augment.{name}"
        raise UserError(f"unknown option {min(unknown)!r}", where=where, remedy=f"one of {', '.join(known)}")
    return kind(**options)
