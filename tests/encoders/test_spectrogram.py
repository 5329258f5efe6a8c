"""Log-mel spectrograms against librosa's and Hugging Face's, and the mel filters' own properties.

log_mel.npz holds every third frame of what librosa 0.11.0 and transformers 5.23.0 make of `wave`: melspectrogram and
power_to_db with the options below; ClapFeatureExtractor(max_length_s=2, frequency_min=50, frequency_max=14000) with
truncation "rand_trunc" and "fusion"; WhisperFeatureExtractor(chunk_length=2).
"""

from pathlib import Path

import jax
import numpy as np
import pytest

from mmjax.encoders.spectrogram import SPECTROGRAMS, hann, log_mel, mel_filters
from mmjax.errors import UserError
from mmjax.mesh import batch_sharding, make_mesh

RECORDED = np.load(Path(__file__).with_name("log_mel.npz"))


def wave(seed, samples, rate):
    """A rising chirp, a tone and noise, with silence in the middle."""
    rng, t = np.random.default_rng(seed), np.arange(samples) / rate
    y = 0.4 * np.sin(2 * np.pi * (300 + 900 * t) * t) + 0.2 * np.sin(2 * np.pi * 4000 * t)
    y += 0.02 * rng.normal(size=samples)
    y[samples // 2 : samples // 2 + samples // 8] = 0
    return y.astype(np.float32)[None]


SECOND = wave(0, 16000, 16000)
HTK = {"n_fft": 400, "hop": 160, "n_mels": 64, "fmin": 50.0, "fmax": 7000.0, "mel_scale": "htk", "mel_norm": "none"}
MAGNITUDE = {"n_fft": 512, "win_length": 400, "hop": 160, "n_mels": 40, "pad": "none", "power": 1.0}


@pytest.mark.parametrize(
    "name, waveform, options",
    [
        ("librosa_default", SECOND, {"top_db": 80.0}),
        ("librosa_htk", SECOND, {**HTK, "pad": "reflect"}),
        ("librosa_magnitude", SECOND, {**MAGNITUDE, "amin": 1e-5, "top_db": 60.0}),
        ("clap_rand_trunc", wave(1, 96000, 48000), SPECTROGRAMS["clap-rand_trunc"]),
        ("clap_fusion", wave(1, 96000, 48000), SPECTROGRAMS["clap-fusion"]),
    ],
)
def test_equals_the_reference(name, waveform, options):
    found = np.asarray(jax.jit(lambda x: log_mel(x, **options))(waveform))[0]
    np.testing.assert_allclose(found[::3], RECORDED[name], rtol=0, atol=5e-4)  # dB
    assert np.abs(found[::3] - RECORDED[name]).mean() < 2e-5


def test_equals_whispers_but_for_the_scale():
    found = np.asarray(log_mel(wave(2, 32000, 16000), **SPECTROGRAMS["whisper"]))[0, :-1]
    np.testing.assert_allclose((found[::3] + 40) / 40, RECORDED["whisper"], rtol=0, atol=5e-5)


def test_examples_of_a_batch_are_apart():
    both = log_mel(np.concatenate([SECOND, 0.1 * SECOND]), top_db=30.0)
    np.testing.assert_allclose(both[0], both[1] + 20, atol=1e-3)  # a tenth of the amplitude is 20 dB less


def test_devices_keep_to_their_own_examples():
    """Split by rows, no device is sent anything of another's."""
    mesh = make_mesh({"data": 8, "fsdp": 1, "tensor": 1})
    rows = batch_sharding(mesh)
    program = jax.jit(log_mel, in_shardings=rows, out_shardings=rows).lower(np.zeros((8, 4096), np.float32)).compile()
    assert "f32[1,4096]" in program.as_text()
    assert not any(name in program.as_text() for name in ("all-gather", "all-to-all", "all-reduce", "permute"))


def test_a_tone_peaks_in_its_band_and_silence_is_the_floor():
    t = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 1000 * t).astype(np.float32)[None]
    options = {"n_fft": 1024, "hop": 256, "n_mels": 40}
    mel = np.asarray(log_mel(tone, **options))
    assert mel.shape == (1, 1 + 16000 // 256, 40)
    # Of 42 corners on Slaney's scale, from 0 to 15 + 27 ln(8) / ln(6.4) = 45.25 mel, 1 kHz = 15 mel is number 13.6:
    # band 13, whose peak is corner 14, is nearest.
    assert (mel[0, 5:-5].argmax(axis=1) == 13).all()
    np.testing.assert_allclose(log_mel(np.zeros((1, 2048), np.float32), **options), -100, rtol=1e-6)


def test_mel_filters():
    equal_area = mel_filters(16000, 2048, 20, 100.0, 7000.0)
    np.testing.assert_allclose(equal_area.sum(0) * 16000 / 2048, 1, rtol=0.02)
    frequencies = np.linspace(0, 8000, 1025)
    assert not equal_area[(frequencies < 100) | (frequencies > 7000)].any()
    equal_peak = mel_filters(16000, 2048, 20, 100.0, 7000.0, "htk", "none")
    inside = (frequencies > 300) & (frequencies < 6000)
    np.testing.assert_allclose(equal_peak[inside].sum(1), 1, rtol=1e-5)  # triangles overlap to 1


def test_hann_is_periodic_and_centred():
    np.testing.assert_allclose(hann(8, 4), [0, 0, 0, 0.5, 1, 0.5, 0, 0], atol=1e-7)
    assert hann(4)[0] == 0 and hann(4)[2] == 1


@pytest.mark.parametrize("option", [{"mel_scale": "mel"}, {"mel_norm": "slaneyy"}, {"pad": "reflec"}])
def test_unknown_choices_name_the_nearest(option):
    with pytest.raises(UserError, match="did you mean"):
        log_mel(SECOND, **option)
