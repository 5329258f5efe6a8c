"""Augmentations of sound by hand, and the colours of noise."""

import numpy as np
import pytest

from mmjax.data.augments.sounds import AUDIO_AUGMENTS, Gain, Mix, Shift, pink_noise, white_noise
from mmjax.data.entries import build
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

RATE = 8000
WAVE = np.sin(np.arange(4000) * 0.3).astype(np.float32)


def generator(number=0):
    return numpy_generator(0, "test", number)


def decibels(ratio):
    return 10 * np.log10(ratio)


def power(wave):
    return np.mean(np.square(wave, dtype=np.float64))


def test_gain_is_uniform_in_decibels():
    gains = [decibels(power(Gain((-6.0, 12.0))(WAVE, generator(n), RATE)) / power(WAVE)) for n in range(1000)]
    assert -6.01 < min(gains) < -5.8
    assert 11.8 < max(gains) < 12.01
    assert np.mean(gains) == pytest.approx(3, abs=5 * 18 / np.sqrt(12 * 1000))
    np.testing.assert_allclose(Gain((20.0, 20.0))(WAVE, generator(), RATE), 10 * WAVE, rtol=1e-6)


def test_shift_goes_both_ways_and_around():
    shifts = set()
    for number in range(300):
        shifted = Shift(2 / RATE)(WAVE, generator(number), RATE)
        shifts |= {by for by in range(-2, 3) if (np.roll(WAVE, by) == shifted).all()}
        assert sorted(shifted) == sorted(WAVE)
    assert shifts == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize("other", ["white", "pink"])
def test_noise_has_the_ratio_drawn(other):
    for number in range(20):
        added = Mix(other, (10.0, 20.0), 1.0)(WAVE, generator(number), RATE) - WAVE
        assert 9.99 < decibels(power(WAVE) / power(added)) < 20.01
    added = Mix(other, (13.0, 13.0), 1.0)(WAVE, generator(), RATE) - WAVE
    assert decibels(power(WAVE) / power(added)) == pytest.approx(13, abs=1e-3)


def test_a_sound_with_itself():
    """What is added is the sound from another place on, 6.02 decibels softer: half as high."""
    added = 2 * (Mix("self", (6.0206, 6.0206), 1.0)(WAVE, generator(3), RATE) - WAVE)
    distances = [np.abs(np.roll(WAVE, by) - added).max() for by in range(len(WAVE))]
    assert min(distances) < 1e-4
    assert np.argmin(distances) > 0


def test_how_often():
    mixed = [(Mix("white", probability=0.3)(WAVE, generator(n), RATE) != WAVE).any() for n in range(1000)]
    assert np.mean(mixed) == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 1000))


@pytest.mark.parametrize(("noise", "slope"), [(white_noise, 0.0), (pink_noise, -1.0)])
def test_colours_of_noise(noise, slope):
    """Power over frequency falls as f^slope: the power of octaves, fitted on a doubly logarithmic scale."""
    spectrum = np.mean([np.abs(np.fft.rfft(noise(np.empty(4096), generator(n)))) ** 2 for n in range(50)], axis=0)
    edges = 2 ** np.arange(3, 12)
    octaves = [spectrum[low:high].mean() for low, high in zip(edges, edges[1:], strict=False)]
    fitted = np.polyfit(np.log(edges[:-1]), np.log(octaves), 1)[0]
    assert fitted == pytest.approx(slope, abs=0.03)


@pytest.mark.parametrize("kind", AUDIO_AUGMENTS)
@pytest.mark.parametrize("wave", [WAVE, WAVE[:1], WAVE[:7], np.zeros(9, np.float32)])
def test_every_kind_keeps_length_and_type_and_is_keyed(kind, wave):
    augment = AUDIO_AUGMENTS[kind](**({"probability": 1.0} if kind == "mix" else {}))
    before = wave.copy()
    result = augment(wave, generator(5), RATE)
    assert result.shape == wave.shape
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    np.testing.assert_array_equal(result, augment(wave, generator(5), RATE))
    np.testing.assert_array_equal(wave, before)


def test_nothing_is_called_brown():
    with pytest.raises(UserError, match="brown"):
        Mix("brown")


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("gain", {"decibels": (6.0, -6.0)}, "decibels"),
        ("mix", {"ratio": (20.0, 10.0)}, "ratio"),
        ("mix", {"other": "brown"}, "brown"),
        ("shift", {"seconds": -1.0}, "seconds is -1"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(kind, options, said):
    with pytest.raises(UserError, match=said) as error:
        build({"my": {"kind": kind, **options}}, AUDIO_AUGMENTS, "config.data.audio_augment")
    assert error.value.where == "config.data.audio_augment.my" and error.value.remedy
