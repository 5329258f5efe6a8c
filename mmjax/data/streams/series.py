"""Time series, such as what sensors record."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from mmjax.data.decoding.audio import CLIPS
from mmjax.data.decoding.npy import read_npy
from mmjax.data.inspection.show import series_tag, wave_picture
from mmjax.data.streams.members import MemberStream
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

# Which part of a longer series; none is repeated to fill a clip, as a sound may be.
PARTS = {how: CLIPS[how] for how in ("random", "center", "start")}


class Series(NamedTuple):
    """Values (T,C) float32 over time, and which steps are real, (T,) bool."""

    values: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class SeriesStream(MemberStream):
    """Time series (T,C): `.npy` members, or arrays that the source gives.

    Attributes:
        series_keys: endings of the members to draw from, such as "imu.npy"; none: data.series_keys.
    """

    series_keys: tuple = ()

    kind: ClassVar[str] = "series"
    noun: ClassVar[str] = "series"
    unit: ClassVar[str] = "steps"
    usual: ClassVar[tuple[str, ...]] = ("npy",)
    drawn_by: ClassVar[str] = "series/member"

    def members(self, names):
        """The array that the source gives under the stream's name, else the members of its endings."""
        return [self.name] if self.name in names else super().members(names)

    def check(self):
        """Raise `UserError` for settings that cannot be."""
        settings = self.data.series
        for key in ("steps", "channels"):
            if (value := getattr(settings, key)) < 1:
                where = f"config.data.series.{key}"
                raise UserError(f"{key} is {value}", where=where, remedy="give at least 1")
        if settings.crop not in PARTS:
            remedy = f"use one of {', '.join(PARTS)}"
            raise UserError(f"crop = {settings.crop!r} is not known", where="config.data.series.crop", remedy=remedy)

    def shapes(self):
        """(T,C) float32 and its mask (T,) bool."""
        steps = self.data.series.steps
        return {"": ((steps, self.data.series.channels), np.float32), "_mask": ((steps,), np.bool_)}

    def draw(self, sample, draws):
        """A random part of a longer series, or all of a shorter one."""
        values = sample.apply(self._values, self.drawn_member(sample, draws))
        return fit_series(values, self.data.series.steps, self.data.series.crop, draws(self.name))

    def read(self, samples, row):
        """The part that `data.series.crop` says, the middle where training takes a random one."""
        crop = self.data.series.crop
        values = samples[row.record].apply(self._values, row.member)
        return fit_series(values, self.data.series.steps, "center" if crop == "random" else crop, None)

    def _values(self, member: bytes | np.ndarray) -> np.ndarray:
        values = read_npy(member) if isinstance(member, bytes) else member
        channels = self.data.series.channels
        if values.ndim == 1 and channels == 1:
            values = values[:, None]
        if values.ndim != 2 or values.shape[1] != channels or values.dtype.kind not in "fiub":
            raise Unreadable("series has another shape or type", f"{values.shape} {values.dtype}")
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        if not len(values) or not np.isfinite(values).all():
            raise Unreadable("series is empty or not finite", f"{values.shape}")
        return values

    def arrays(self, value):
        """Values and mask."""
        return {"": value.values, "_mask": value.mask}

    def described(self, value):
        """How long it is."""
        return f"{value.mask.sum()} steps"

    def picture(self, value, side):
        """The mean of its channels over time."""
        return wave_picture(value.values[value.mask].mean(1), side)

    def html(self, value):
        """A curve for each channel."""
        return series_tag(value.values[value.mask])


def fit_series(values: np.ndarray, steps: int, how: str, rng: np.random.Generator | None) -> Series:
    """`steps` (T) of a float32 series (N,C): of a longer one the part `how` (in PARTS) says, else zeros after it."""
    if len(values) > steps:
        start = PARTS[how](len(values) - steps, rng)
        return Series(values[start : start + steps], np.ones(steps, bool))
    padded = np.zeros((steps, values.shape[1]), np.float32)
    padded[: len(values)] = values
    return Series(padded, np.arange(steps) < len(values))
