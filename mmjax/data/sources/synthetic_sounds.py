"""Scenes as sounds: a tone for each thing, whose colour is its pitch and whose shape is its timbre.

Colours are the eight notes of a major scale from C4 to C5, in the order of the spectrum. Timbre is the mix of the
first eight harmonics. Small things are half as loud. Things sound one after another in the order of the caption; motion
is not heard.
"""

import functools
import struct

import numpy as np

from mmjax.data.sources.synthetic_scenes import COLOURS, SHAPES, Scene

RATE = 16000
SECONDS = 0.4  # of a tone, and as long a rest of REST after it
REST = 0.1
FADE = 0.02
C4 = 261.6256
SEMITONES = dict(zip(COLOURS, (0, 2, 4, 5, 7, 9, 11, 12), strict=True))
LOUDNESS = {"small": 0.35, "large": 0.7}
HARMONICS = dict(
    zip(
        SHAPES,
        (
            (1,),  # a sine
            (1, 0, 1 / 3, 0, 1 / 5, 0, 1 / 7),  # a square wave
            (1, 0, -1 / 9, 0, 1 / 25, 0, -1 / 49),  # a triangle wave
            (1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 7, 1 / 8),  # a saw tooth
            (1, 1, 0, 1, 0, 0, 0, 1),  # octaves
            (1, 0, 1, 0, 0, 0, 0, 0),  # a twelfth above
            (0.2, 1, 0.2, 1),  # even ones
            (1, 0.6, 0.3, 0, 0, 0.6, 0.6, 0.3),  # low and high ones
        ),
        strict=True,
    )
)


def play(scene: Scene) -> bytes:
    """A mono WAV of 16 bits at RATE, half a second for each thing."""
    tones = [np.float32(LOUDNESS[thing.size]) * tone(thing.shape, thing.colour) for thing in scene.things]
    return wav(np.concatenate(tones))


@functools.cache
def tone(shape: str, colour: str) -> np.ndarray:
    """(T,) float32 within -1 to 1: a tone and the rest after it."""
    time = np.arange(int(SECONDS * RATE)) / RATE
    pitch = C4 * 2 ** (SEMITONES[colour] / 12)
    wave = sum(a * np.sin(2 * np.pi * pitch * (n + 1) * time) for n, a in enumerate(HARMONICS[shape]))
    wave *= np.minimum(1, np.minimum(time, time[::-1]) / FADE) / np.abs(wave).max()
    return np.concatenate([wave, np.zeros(int(REST * RATE))]).astype(np.float32)


def wav(wave: np.ndarray) -> bytes:
    """A RIFF file of a mono `wave` (T,) within -1 to 1, 16 bits a sample at RATE."""
    samples = np.rint(wave * 32767).astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    chunks = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI", b"RIFF", len(chunks)) + chunks
