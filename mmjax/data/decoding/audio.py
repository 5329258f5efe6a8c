"""Bytes to sound: decoded with a size limit, one channel, resampled, cut or filled to the length of a clip."""

import io

import numpy as np

from mmjax.data.optional import optional
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

# The first bytes of what libsndfile decodes well: WAV, FLAC, Ogg (Vorbis, Opus), AIFF and MP3. It knows some twenty
# formats more, each a parser of its own that a broken file might be mistaken for.
MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b"ID3", b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2")
MOST_SAMPLES = 2**25  # 11 minutes at 48 kHz, 128 MiB
MOST_CHANNELS = 32
RATES = (1000, 400_000)
MOST_AMPLITUDE = 2.0**16  # floating-point files may hold 16-bit values unscaled; beyond that, squares overflow
BLOCK_VALUES = 2**18
# What programs that cannot seek back write as the size of a WAV's data, since they do not know it.
SIZE_UNKNOWN = 0x7FFF0000


def decode_audio(data: bytes, sample_rate: int) -> np.ndarray:
    """A sound as (T,) float32: the mean of its channels, resampled by soxr (quality HQ); full scale is 1.

    Args:
        data: a WAV, FLAC, Ogg, AIFF or MP3 file.
        sample_rate: of the result, in Hz.

    Raises:
        Unreadable: no such file, cut off, empty, not finite, or of more than MOST_SAMPLES samples.
        UserError: soundfile or soxr is not installed.
    """
    soundfile = optional("soundfile", "audio", "sound")
    if not data.startswith(MAGIC):
        raise Unreadable("sound does not decode", "none of WAV, FLAC, Ogg, AIFF, MP3")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_header(file, sample_rate)
            wave, rate = _mono(file), file.samplerate
            if len(wave) < file.frames or _is_cut(data):
                raise Unreadable("sound is cut off", f"{len(wave)} samples")
    except Unreadable:
        raise
    except Exception as error:  # libsndfile's own errors, and whatever a broken header makes of sizes
        raise Unreadable("sound does not decode", f"{type(error).__name__}: {error}") from error
    if not len(wave):
        raise Unreadable("sound is empty")
    if not (np.abs(wave) <= MOST_AMPLITUDE).all():  # a NaN is not, either
        raise Unreadable("sound has samples that are no finite amplitude")
    return wave if rate == sample_rate else _resample(wave, rate, sample_rate)


def _check_header(file, sample_rate):
    if not RATES[0] <= file.samplerate <= RATES[1] or not 1 <= file.channels <= MOST_CHANNELS:
        raise Unreadable("sound has an impossible header", f"{file.samplerate} Hz, {file.channels} channels")
    if file.frames * max(1, sample_rate / file.samplerate) > MOST_SAMPLES:
        raise Unreadable("sound is too long", f"{file.frames} samples at {file.samplerate} Hz")


def _mono(file) -> np.ndarray:
    """The mean of all channels, read in blocks: the length in the header is not to be trusted with memory."""
    blocks, total, size = [], 0, BLOCK_VALUES // file.channels
    while len(block := file.read(size, dtype="float32", always_2d=True)):
        blocks.append(block[:, 0] if file.channels == 1 else block.mean(1, dtype=np.float32))
        total += len(block)
        if total > MOST_SAMPLES:
            raise Unreadable("sound is too long", f"more than {MOST_SAMPLES} samples")
    return np.concatenate(blocks) if blocks else np.empty(0, np.float32)


def _is_cut(data: bytes) -> bool:
    """Whether a WAV has fewer bytes of sound than its header says, which libsndfile overlooks."""
    place = 12
    while data.startswith(b"RIFF") and place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        if data[place : place + 4] == b"data":
            return place + 8 + size > len(data) and size < SIZE_UNKNOWN
        place += 8 + size + size % 2
    return False


def _resample(wave, rate, sample_rate) -> np.ndarray:
    resampled = optional("soxr", "audio", "sound of another sample rate").resample(wave, rate, sample_rate, "HQ")
    if not len(resampled):
        raise Unreadable("sound is empty", f"{len(wave)} samples at {rate} Hz")
    return resampled


def fit_clip(wave: np.ndarray, length: int, how: str, rng: np.random.Generator | None = None):
    """A clip of `length` samples: of a longer sound a part, of a shorter one all, with zeros after it.

    Args:
        wave: (T,) float32, T >= 1.
        length: samples of the clip, L.
        how: a name in CLIPS. Which part of a longer sound: "random", drawn from `rng`; "center", the middle; "start".
            "repeat" is as "center", but a shorter sound is repeated from its beginning until the clip is full.
        rng: the generator of this row, of which "random" draws one integer from a sound that is longer.

    Returns:
        The clip (L,) float32, and (L,) bool: False where zeros were put.

    Raises:
        UserError: `how` is none of CLIPS.
    """
    if how not in CLIPS:
        raise UserError(f"unknown part of a sound {how!r}", remedy=f"use one of {', '.join(CLIPS)}")
    if len(wave) > length:
        start = CLIPS[how](len(wave) - length, rng)
        return wave[start : start + length], np.ones(length, bool)
    if how == "repeat":
        return np.resize(wave, length), np.ones(length, bool)
    clip = np.zeros(length, np.float32)
    clip[: len(wave)] = wave
    return clip, np.arange(length) < len(wave)


def _middle(room, rng):
    return room // 2


# How many samples of a longer sound come before its clip, of `room` that do not fit.
CLIPS = {
    "random": lambda room, rng: int(rng.integers(room + 1)),
    "center": _middle,
    "start": lambda room, rng: 0,
    "repeat": _middle,
}
