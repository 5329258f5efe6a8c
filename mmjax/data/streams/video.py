"""Clips of moving pictures."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmjax.data.decoding.images import RESIZE, decode
from mmjax.data.decoding.video import VIDEOS, decode_frames, frame_indices
from mmjax.data.inspection.show import clip_tag, strip_picture
from mmjax.data.streams.image import PICTURES, PictureStream
from mmjax.data.unreadable import Lacking
from mmjax.errors import UserError


@dataclass(frozen=True)
class VideoStream(PictureStream):
    """Clips, of particular members or of any; every frame of one is cropped and coloured alike.

    Attributes:
        video_keys: endings of the members to draw from, such as "mp4"; none: data.video_keys.
        frames: frames of a clip; 0: data.video.frames.
        sampling: how they are chosen, such as "fast" beside another stream's "slow"; none: data.video.sampling.
        stills: whether a picture that does not move counts as a clip, jpg and png too; its frames are all the same.
    """

    video_keys: tuple = ()
    frames: int = 0
    sampling: str = ""
    stills: bool = False

    kind: ClassVar[str] = "video"
    noun: ClassVar[str] = "clip"
    usual: ClassVar[tuple[str, ...]] = VIDEOS
    drawn_by: ClassVar[str] = "video/member"

    @property
    def common_keys(self):
        """Pictures too, where they count as clips."""
        return self.data.video_keys or self.usual + PICTURES * self.stills

    @property
    def length(self) -> int:
        """Frames of a clip, F."""
        return self.frames or self.data.video.frames

    @property
    def law(self) -> str:
        """How training frames are chosen: a `how` of `frame_indices`."""
        return self.sampling or self.data.video.sampling

    def check(self):
        """Raise `UserError` for settings that cannot be."""
        super().check()
        where = f"config.data.streams.{self.name}" if self.optional else "config.data.video"
        if self.length < 1:
            raise UserError(f"frames is {self.length}", where=f"{where}.frames", remedy="give at least 1")
        try:
            frame_indices(1, 1, self.law, np.random.default_rng(0))
        except UserError as error:
            raise UserError(error.what, where=f"{where}.sampling", remedy=error.remedy) from error

    def shapes(self):
        """(F,S,S,3) uint8."""
        return {"": ((self.length, self.side, self.side, 3), np.uint8)}

    def draw(self, sample, draws):
        """Frames (F,S,S,3) uint8 chosen by `law`, augmented alike."""
        member, rng = self.drawn_member(sample, draws), draws(f"{self.name}/frames")
        frames = self._frames(sample, member, self.law, rng)
        if not self.cropped:
            frames = [RESIZE[self.data.resize](frame, self.side) for frame in frames]
        # A generator that begins anew for each frame draws the same crop, flip and colours for all of them.
        return np.stack([np.asarray(self.augmented(frame, draws(self.name))) for frame in frames])

    def read(self, samples, row):
        """Evenly spaced frames (F,S,S,3) uint8, resized."""
        frames = self._frames(samples[row.record], row.member, "uniform", None)
        return np.stack([np.asarray(RESIZE[self.data.resize](frame, self.side)) for frame in frames])

    def _frames(self, sample, member, law, rng):
        def pick(count):
            if count < 2 and not self.stills:
                raise Lacking("the picture does not move")
            return frame_indices(count, self.length, law, rng)

        if member.split(".")[-1] in VIDEOS:
            return sample.apply(lambda data: decode_frames(data, member, pick), member)
        return [sample.apply(decode, member)] * self.length

    def described(self, value):
        """How many frames."""
        return f"{len(value)} frames"

    def picture(self, value, side):
        """Its frames in rows."""
        return strip_picture(value, side)

    def html(self, value):
        """The clip moving, and its frames."""
        return clip_tag(value)
