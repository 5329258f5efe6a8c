"""Pictures."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
from PIL import Image

from mmjax.data.augments import Crop, Flip, build_augments
from mmjax.data.decoding.images import RESIZE, decode
from mmjax.data.decoding.turbo import crop_jpeg, open_turbo
from mmjax.data.inspection.show import image_tag, resized
from mmjax.data.streams.members import MemberStream
from mmjax.errors import UserError

PICTURES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff")


@dataclass(frozen=True)
class PictureStream(MemberStream):
    """What pictures and clips have in common: a size and augmentations.

    Attributes:
        augment: names of the entries of data.augment that change it, in the order of their kinds; none: all.
        size: side in pixels; 0: data.image_size.
    """

    augment: tuple = ()
    size: int = 0

    @cached_property
    def side(self) -> int:
        """Height and width in pixels."""
        return self.size or self.data.image_size

    @cached_property
    def augments(self) -> list:
        """The augmentations of training pictures, in their order."""
        entries = self.data.augment
        return build_augments({name: entries[name] for name in self.augment} if self.augment else entries)

    @cached_property
    def cropped(self) -> bool:
        """Whether an augmentation crops, and so wants the picture at its own resolution."""
        return any(isinstance(augment, Crop) for augment in self.augments)

    def augmented(self, picture, rng):
        """A training picture, changed by every augmentation in turn."""
        for augment in self.augments:
            picture = augment(picture, rng, self.side)
        return picture

    def open(self):
        """Build the augmentations."""
        self.augments  # noqa: B018  cached

    def check(self):
        """Raise `UserError` for augmentations that do not exist."""
        where = f"config.data.streams.{self.name}"
        for name in self.augment:
            if name not in self.data.augment:
                known = ", ".join(self.data.augment) or "none"
                raise UserError(f"no augmentation {name!r}", where=f"{where}.augment", remedy=f"known: {known}")
        if self.size < 0:
            raise UserError(f"size is {self.size}", where=f"{where}.size", remedy="give pixels, or 0: data.image_size")


@dataclass(frozen=True)
class ImageStream(PictureStream):
    """Pictures, of particular members or of any.

    Attributes:
        image_keys: endings of the members to draw from, such as "fluent.webp", or "=webp" for that very name; none:
            drawn as without an entry.
    """

    image_keys: tuple = ()

    kind: ClassVar[str] = "image"
    noun: ClassVar[str] = "picture"
    usual: ClassVar[tuple[str, ...]] = PICTURES
    drawn_by: ClassVar[str] = "member"

    def shapes(self):
        """(S,S,3) uint8."""
        return {"": ((self.side, self.side, 3), np.uint8)}

    def open(self):
        """Build the augmentations, and load what decodes quickly if that is asked for."""
        super().open()
        if self.data.decoder == "turbo":
            open_turbo()

    def draw(self, sample, draws):
        """An augmented picture (S,S,3) uint8."""
        member = self.drawn_member(sample, draws)
        if self.cropped:
            return self._cropped(sample, member, draws(self.name))
        picture = sample.decoded(member, self._form, self._decode_resized)
        return np.asarray(self.augmented(picture, draws(self.name)) if self.augments else picture)

    def _cropped(self, sample, member, rng) -> np.ndarray:
        if self.data.decoder == "turbo" and isinstance(self.augments[0], Crop):
            pixels = sample.apply(partial(crop_jpeg, crop=self.augments[0], rng=rng, size=self.side), member)
            if pixels is not None:
                return self._augmented_pixels(pixels, rng)
        return np.asarray(self.augmented(sample.decoded(member, "picture", decode), rng))

    def _augmented_pixels(self, pixels, rng) -> np.ndarray:
        """What was cropped by `crop_jpeg`, changed by the other augmentations; those but flips want a picture."""
        for augment in self.augments[1:]:
            if isinstance(pixels, np.ndarray) and not isinstance(augment, Flip):
                pixels = Image.fromarray(pixels)
            pixels = augment(pixels, rng, self.side)
        return np.asarray(pixels)

    def read(self, samples, row):
        """The picture (S,S,3) uint8, resized."""
        return np.asarray(samples[row.record].decoded(row.member, self._form, self._decode_resized))

    @cached_property
    def _form(self):
        return f"picture, {self.data.resize} to {self.side}"

    @cached_property
    def _decode_resized(self):
        return partial(decode_resized, resize=self.data.resize, size=self.side)

    def picture(self, value, side):
        """The picture itself."""
        return resized(value, side)

    def html(self, value):
        """The picture."""
        return image_tag(value)


def decode_resized(data: bytes, *, resize: str, size: int):
    """The picture of `size` x `size` that evaluation sees; `resize` is a name in `images.RESIZE`."""
    return RESIZE[resize](decode(data), size)
