"""Sounds."""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import ClassVar, NamedTuple

import numpy as np

from mmjax.data.augments.sounds import AUDIO_AUGMENTS
from mmjax.data.decoding.audio import CLIPS, decode_audio, fit_clip
from mmjax.data.entries import build
from mmjax.data.inspection.show import sound_tag, wave_picture
from mmjax.data.streams.members import MemberRow, MemberStream, ending_in, endings
from mmjax.data.unreadable import Lacking
from mmjax.errors import UserError

SOUNDS = ("wav", "flac", "ogg", "opus", "mp3")
LANGUAGE = "{language}"


class Clip(NamedTuple):
    """A sound (T,) float32 of one channel, and which of its samples are real, (T,) bool."""

    wave: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class AudioStream(MemberStream):
    """Sounds, of particular members, languages or of any.

    Attributes:
        audio_keys: endings of the members to draw from, such as "desc.{language}.ogg", or "=ogg" for that very
            name; none: data.audio_keys.
        languages: of which one that the sample has is drawn, where endings name {language}; none: data.languages.
    """

    audio_keys: tuple = ()
    languages: tuple = ()

    kind: ClassVar[str] = "audio"
    noun: ClassVar[str] = "sound"
    unit: ClassVar[str] = "seconds"
    usual: ClassVar[tuple[str, ...]] = SOUNDS
    drawn_by: ClassVar[str] = "audio/member"

    @property
    def spoken(self) -> tuple:
        """The languages to draw from; one without a name where no ending depends on it."""
        keys = self.own_keys or self.common_keys
        return tuple(self.languages or self.data.languages) if any(LANGUAGE in key for key in keys) else ("",)

    @property
    def length(self) -> int:
        """Samples of a clip, T."""
        return round(self.data.audio.sample_rate * self.data.audio.seconds)

    @cached_property
    def augments(self) -> list:
        """The augmentations of training sounds, in their order."""
        return build(self.data.audio_augment, AUDIO_AUGMENTS, "config.data.audio_augment")

    def open(self):
        """Build the augmentations."""
        self.augments  # noqa: B018  cached

    def check(self):
        """Raise `UserError` for settings that cannot be."""
        settings = self.data.audio
        if settings.crop not in CLIPS:
            remedy = f"use one of {', '.join(CLIPS)}"
            raise UserError(f"crop = {settings.crop!r} is not known", where="config.data.audio.crop", remedy=remedy)
        if settings.sample_rate < 1 or self.length < 1:
            said = f"{settings.seconds} seconds at {settings.sample_rate} Hz are no clip"
            raise UserError(said, where="config.data.audio", remedy="give a positive sample_rate and seconds")
        if not self.spoken:
            remedy = 'give at least one, such as ("en",)'
            raise UserError(
                "endings depend on a language, and there is none", where="config.data.languages", remedy=remedy
            )
        if self.languages and self.spoken == ("",):
            remedy = 'name them in an ending, such as audio_keys=("desc.{language}.ogg",)'
            where = f"config.data.streams.{self.name}.languages"
            raise UserError("no ending depends on the language", where=where, remedy=remedy)

    def shapes(self):
        """(T,) float32 and its mask (T,) bool."""
        return {"": ((self.length,), np.float32), "_mask": ((self.length,), np.bool_)}

    def members(self, names):
        """Those of a sample's members that are sounds in any of the languages."""
        return [name for language in self.spoken for name in self._in_language(names, language)]

    def _in_language(self, names, language):
        keys = [key.replace(LANGUAGE, language) for key in self.own_keys or self.common_keys]
        return ending_in(names, endings(keys))

    def drawn_member(self, sample, draws):
        """One of a sample's members, of a random language of those it has."""
        spoken = [language for language in self.spoken if self._in_language(sample.members, language)]
        if not spoken:
            raise Lacking("no sound in the sample", ", ".join(sample.members))
        language = draws.shuffled(spoken, f"{self.name}/language")[0]
        return MemberStream.drawn_member(replace(self, languages=(language,)) if language else self, sample, draws)

    def draw(self, sample, draws):
        """A random part of a sound, augmented."""
        rng = draws(self.name)
        wave, mask = fit_clip(self._decoded(sample, self.drawn_member(sample, draws)), self.length, self._crop, rng)
        if self.augments:
            real = int(mask.sum())
            wave = wave.copy()  # of a longer sound it is a view of what is kept in memory
            for augment in self.augments:
                wave[:real] = augment(wave[:real], rng, self.data.audio.sample_rate)
        return Clip(wave, mask)

    def rows(self, samples, record):
        """A row for each member of the first language."""
        return [MemberRow(record, name) for name in self._in_language(samples.members(record), self.spoken[0])]

    def every_row(self, samples, record):
        """A row for each member of any of the languages."""
        return MemberStream.rows(self, samples, record)

    def read(self, samples, row):
        """The part of a sound that `data.audio.crop` says, the middle where training takes a random one."""
        crop = "center" if self._crop == "random" else self._crop
        return Clip(*fit_clip(self._decoded(samples[row.record], row.member), self.length, crop))

    def narrowed(self, *, keys=(), language="", **_):
        """With other endings, one language."""
        chosen = MemberStream.narrowed(self, keys=keys)
        return replace(chosen, languages=(language,)) if language and chosen.spoken != ("",) else chosen

    def arrays(self, value):
        """Samples and mask."""
        return {"": value.wave, "_mask": value.mask}

    @property
    def _crop(self):
        return self.data.audio.crop

    def _decoded(self, sample, member):
        rate = self.data.audio.sample_rate
        return sample.decoded(member, f"sound of {rate}", partial(decode_audio, sample_rate=rate))

    def lengths(self, masks):
        """Seconds."""
        return masks.sum(1) / self.data.audio.sample_rate

    def described(self, value):
        """How long it is."""
        return f"{value.mask.sum() / self.data.audio.sample_rate:.2f} s of sound"

    def picture(self, value, side):
        """Its amplitude over time."""
        return wave_picture(value.wave, side)

    def html(self, value):
        """A player, below its amplitude over time."""
        return sound_tag(value.wave[value.mask], self.data.audio.sample_rate)
