"""Decoding, resampling and clipping of sounds whose samples are known."""

import io
import struct
import sys

import numpy as np
import pytest
import soundfile

from mmjax.data.decoding.audio import MOST_SAMPLES, decode_audio, fit_clip
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError
from mmjax.rng import numpy_generator


def tone(seconds, rate, frequency=440.0):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate).astype(np.float32) / 2


def encoded(wave, rate, kind="WAV", subtype=None):
    out = io.BytesIO()
    soundfile.write(out, wave, rate, format=kind, subtype=subtype)
    return out.getvalue()


def wav(frames, *, rate=8000, channels=1, kind=1, bits=16, size=None):
    """A WAV by hand: 44 bytes of header, then `frames`."""
    size = len(frames) if size is None else size
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * block % 2**32, block, bits)
    whole = min(36 + size, 2**32 - 1)
    return struct.pack("<4sI8sI", b"RIFF", whole, b"WAVEfmt ", 16) + form + struct.pack("<4sI", b"data", size) + frames


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_24"), ("AIFF", None)])
def test_lossless_files_decode_exactly(kind, subtype):
    wave = np.array([0, 0.5, -0.5, 0.25, -1, 1 - 2**-15], np.float32)
    decoded = decode_audio(encoded(wave, 16000, kind, subtype), 16000)
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, wave)


@pytest.mark.parametrize(("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)])
def test_lossy_files_decode_nearly(kind, subtype):
    wave = tone(0.5, 48000)
    decoded = decode_audio(encoded(wave, 48000, kind, subtype), 48000)
    assert len(decoded) == len(wave)
    middle = slice(4800, -4800)
    assert np.corrcoef(decoded[middle], wave[middle])[0, 1] > 0.999


def test_channels_are_averaged():
    left, right = np.array([0.5, 0.25, 0.0]), np.array([0.0, 0.75, -0.5])
    decoded = decode_audio(encoded(np.stack([left, right], 1), 8000, subtype="FLOAT"), 8000)
    np.testing.assert_array_equal(decoded, np.array([0.25, 0.5, -0.25], np.float32))


@pytest.mark.parametrize(("rate", "target"), [(44100, 16000), (8000, 48000), (22050, 16000), (48000, 16000)])
def test_resampling_keeps_a_tone(rate, target):
    """A tone below both Nyquist frequencies is the same tone at the new rate: phase, level and length."""
    decoded = decode_audio(encoded(tone(1.0, rate), rate, subtype="FLOAT"), target)
    assert len(decoded) == target
    middle = slice(target // 10, -target // 10)
    np.testing.assert_allclose(decoded[middle], tone(1.0, target)[middle], atol=2e-4)


def test_resampling_removes_what_would_alias():
    decoded = decode_audio(encoded(tone(1.0, 48000, 10000.0), 48000, subtype="FLOAT"), 16000)
    assert np.abs(decoded[1600:-1600]).max() < 1e-4


def test_a_streamed_wav_without_a_size_is_whole():
    frames = np.arange(100, dtype="<i2").tobytes()
    np.testing.assert_array_equal(decode_audio(wav(frames, size=0xFFFFFFFF), 8000) * 2**15, np.arange(100))


FLOATS = np.zeros(50, "<f4")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not decode"),
        (b"no sound at all", "does not decode"),
        (b"RIFF" + b"\xff" * 60, "does not decode"),
        (wav(bytes(100))[:30], "does not decode"),
        (wav(bytes(100), channels=0), "does not decode"),
        (wav(bytes(100), kind=77), "does not decode"),
        (wav(bytes(800), channels=100), "impossible header"),
        (wav(bytes(100), rate=1), "impossible header"),
        (wav(bytes(100), rate=2**31 - 1), "impossible header"),
        (wav(b""), "empty"),
        (wav(bytes(100), size=4000), "cut off"),
        (wav(bytes(100), size=2**31 - 2**17), "cut off"),
        (wav((FLOATS + np.float32("nan")).tobytes(), kind=3, bits=32), "no finite amplitude"),
        (wav((FLOATS - np.float32("inf")).tobytes(), kind=3, bits=32), "no finite amplitude"),
        (wav((FLOATS + np.float32(1e30)).tobytes(), kind=3, bits=32), "no finite amplitude"),
        (encoded(tone(1, 48000), 48000, "FLAC")[:2000], "does not decode"),
        (encoded(tone(1, 48000), 48000, "MP3")[:3000], "cut off"),
    ],
)
def test_broken_sounds_have_a_reason(data, reason):
    with pytest.raises(Unreadable, match=reason):
        decode_audio(data, 8000)


def test_long_sounds_are_refused_before_they_fill_the_memory(monkeypatch):
    silence = encoded(np.zeros(MOST_SAMPLES // 8, np.float32), 8000, "FLAC")
    assert len(silence) < 2**20
    with pytest.raises(Unreadable, match="too long"):
        decode_audio(silence, 8000 * 9)  # fits as it is, and not at the rate that is asked for
    # A header may also say too little.
    monkeypatch.setattr("mmjax.data.decoding.audio._check_header", lambda file, rate: None)
    monkeypatch.setattr("mmjax.data.decoding.audio.MOST_SAMPLES", 2**19)
    with pytest.raises(Unreadable, match="too long"):
        decode_audio(silence, 8000)


def test_bytes_at_random_never_do_more_than_fail():
    rng = np.random.default_rng(0)
    kinds = [("WAV", None), ("WAV", "FLOAT"), ("FLAC", None), ("OGG", "VORBIS")]
    originals = [encoded(tone(0.1, 8000), 8000, *kind) for kind in kinds]
    failed = 0
    for number in range(400):
        data = bytearray(originals[number % 4])
        places = rng.integers(0, 60 if number % 8 < 4 else len(data), 3)
        for place in places:
            data[place] = rng.integers(256)
        try:
            wave = decode_audio(bytes(data), 8000)
            assert 0 < len(wave) <= MOST_SAMPLES
            assert np.isfinite(wave).all()
        except Unreadable as fault:
            failed += 1
            assert fault.reason.startswith("sound ")
    assert 0 < failed < 400


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(UserError, match=r"pip install 'mmjax\[audio\]'"):
        decode_audio(b"RIFF", 8000)


WAVE = np.arange(1, 11, dtype=np.float32)


@pytest.mark.parametrize(
    ("length", "how", "expected"),
    [
        (4, "start", [1, 2, 3, 4]),
        (4, "center", [4, 5, 6, 7]),
        (4, "repeat", [4, 5, 6, 7]),
        (10, "center", list(range(1, 11))),
        (13, "repeat", [*range(1, 11), 1, 2, 3]),
        (12, "start", [*range(1, 11), 0, 0]),
        (12, "center", [*range(1, 11), 0, 0]),
    ],
)
def test_clips_by_hand(length, how, expected):
    clip, real = fit_clip(WAVE, length, how)
    np.testing.assert_array_equal(clip, np.array(expected, np.float32))
    np.testing.assert_array_equal(real, np.array(expected) != 0)
    assert (clip.dtype, real.dtype) == (np.float32, bool)


def test_random_clips_begin_everywhere_alike():
    rng = numpy_generator(0, "test", 1)
    starts = np.array([fit_clip(WAVE, 4, "random", rng)[0][0] for _ in range(7000)])
    counts = np.bincount(starts.astype(int), minlength=11)
    assert counts[0] == 0
    assert counts[8:].sum() == 0
    assert np.abs(counts[1:8] - 1000).max() < 5 * np.sqrt(1000 * 6 / 7)


def test_short_sounds_draw_nothing():
    rng = numpy_generator(0, "test", 1)
    clip, real = fit_clip(WAVE, 11, "random", rng)
    assert real.sum() == 10
    assert rng.random() == numpy_generator(0, "test", 1).random()
    np.testing.assert_array_equal(clip[:10], WAVE)


def test_unknown_part():
    with pytest.raises(UserError, match="centre"):
        fit_clip(WAVE, 4, "centre")
