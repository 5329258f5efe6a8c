"""Sounds, clips and series as files, of which a test can tell what they are."""

import io
import wave

import numpy as np
from PIL import Image


def wav(samples: np.ndarray, rate: int) -> bytes:
    """A WAV of 16 bits; `samples` (T,) in -1 to 1."""
    with io.BytesIO() as out:
        with wave.open(out, "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", "none"))
            file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
        return out.getvalue()


def ramp(number: int, length: int, rate: int = 8000) -> bytes:
    """A WAV whose samples are number + 1, number + 2, ... thousandths."""
    return wav((number + 1 + np.arange(length)) / 1000, rate)


def npy(array: np.ndarray) -> bytes:
    """An array as an `.npy` file."""
    with io.BytesIO() as out:
        np.save(out, array, allow_pickle=array.dtype.hasobject)
        return out.getvalue()


def frames(number: int, count: int, side=(12, 10)) -> np.ndarray:
    """(count, 10, 12, 3) uint8: red tells the clip, green the frame."""
    width, height = side
    clip = np.zeros((count, height, width, 3), np.uint8)
    clip[..., 0], clip[..., 1] = number, np.arange(count)[:, None, None]
    return clip


def webp(clip: np.ndarray) -> bytes:
    """An animated WebP, lossless."""
    with io.BytesIO() as out:
        first, *rest = map(Image.fromarray, clip)
        first.save(out, "WEBP", save_all=True, append_images=rest, duration=40, lossless=True)
        return out.getvalue()
