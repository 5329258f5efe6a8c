"""Random changes to a training sound, each a small class whose fields are its options.

Each is called as `augment(wave, rng, sample_rate)` with a sound (T,) float32 and gives one of the same length.
"""

from dataclasses import dataclass

import numpy as np

from mmjax.data.entries import check_span
from mmjax.errors import UserError


@dataclass(frozen=True)
class Shift:
    """The sound moved in time; what leaves at one end comes back at the other.

    Attributes:
        seconds: greatest shift to either side.
    """

    seconds: float = 0.5

    def __post_init__(self):
        if self.seconds < 0:
            raise UserError(f"seconds is {self.seconds}", remedy="give at least 0")

    def __call__(self, wave: np.ndarray, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        most = round(self.seconds * sample_rate)
        return np.roll(wave, int(rng.integers(-most, most + 1)))


@dataclass(frozen=True)
class Mix:
    """The sound with another one below it.

    Attributes:
        other: white (noise, each frequency as strong), pink (noise, each octave as strong) or self (the sound itself,
            begun at a random other place).
        ratio: least and greatest power of the sound over that of the other, in decibels.
        probability: how often, 0 to 1.
    """

    other: str = "white"
    ratio: tuple[float, float] = (10.0, 40.0)
    probability: float = 0.5

    def __post_init__(self):
        if self.other not in OTHERS:
            remedy = f"use one of {', '.join(OTHERS)}"
            raise UserError(f"nothing to mix with is called {self.other!r}", remedy=remedy)
        check_span("ratio", self.ratio)

    def __call__(self, wave: np.ndarray, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        if rng.random() >= self.probability:
            return wave
        ratio = rng.uniform(*self.ratio)
        other = OTHERS[self.other](wave, rng)
        power = np.mean(np.square(wave, dtype=np.float64)) / max(np.mean(np.square(other, dtype=np.float64)), 1e-30)
        return wave + other * np.float32(np.sqrt(power * 10 ** (-ratio / 10)))


@dataclass(frozen=True)
class Gain:
    """The sound louder or softer.

    Attributes:
        decibels: least and greatest gain.
    """

    decibels: tuple[float, float] = (-6.0, 6.0)

    def __post_init__(self):
        check_span("decibels", self.decibels)

    def __call__(self, wave: np.ndarray, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        return wave * np.float32(10 ** (rng.uniform(*self.decibels) / 20))


def white_noise(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise (T,) float32 as long as the sound, of the same power at every frequency."""
    return rng.standard_normal(len(wave), np.float32)


def pink_noise(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise (T,) float32 as long as the sound, of a power that falls as 1 / frequency, without a constant part."""
    spectrum = np.fft.rfft(white_noise(wave, rng))
    spectrum[0] = 0
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    return np.fft.irfft(spectrum, len(wave)).astype(np.float32)


def _itself(wave, rng):
    return np.roll(wave, int(rng.integers(len(wave))))


OTHERS = {"white": white_noise, "pink": pink_noise, "self": _itself}
# Applied in this order, whatever the order of the config's entries: it sorts them by name.
AUDIO_AUGMENTS = {"shift": Shift, "mix": Mix, "gain": Gain}
