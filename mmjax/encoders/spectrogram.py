"""Log-mel spectrograms on the device, equal to librosa's and to those of Hugging Face's feature extractors.

All are in decibels, 10 log10: natural logarithms and Whisper's are multiples of them.
"""

import jax.numpy as jnp
import numpy as np

from mmjax.encoders.options import check_choice

MEL_SCALES = ("slaney", "htk")
MEL_NORMS = ("slaney", "none")

_CLAP = {"sample_rate": 48000, "n_fft": 1024, "hop": 480, "n_mels": 64, "fmin": 50.0, "fmax": 14000.0, "pad": "reflect"}
# The settings of published models, as arguments of `log_mel`. CLAP (Wu et al. 2023, arXiv 2211.06687) has two: one of
# models that take a random clip, one of those that fuse several. Whisper (Radford et al. 2022, arXiv 2212.04356)
# leaves the last frame out and takes (dB + 40) / 40.
SPECTROGRAMS: dict[str, dict] = {
    "clap-rand_trunc": {**_CLAP, "mel_scale": "slaney", "mel_norm": "slaney"},
    "clap-fusion": {**_CLAP, "mel_scale": "htk", "mel_norm": "none"},
    "whisper": {"sample_rate": 16000, "n_fft": 400, "hop": 160, "n_mels": 80, "pad": "reflect", "top_db": 80.0},
}


def log_mel(
    waveform,
    *,
    sample_rate: int = 16000,
    n_fft: int = 2048,
    hop: int = 512,
    win_length: int = 0,
    n_mels: int = 128,
    fmin: float = 0.0,
    fmax: float = 0.0,
    mel_scale: str = "slaney",
    mel_norm: str = "slaney",
    power: float = 2.0,
    pad: str = "constant",
    amin: float = 1e-10,
    top_db: float = 0.0,
):
    """The log-mel spectrogram of waveforms, in dB; the defaults are librosa 0.11's, but for `top_db` (80 there).

    Args:
        waveform: (B, T) float32.
        sample_rate: samples a second.
        n_fft: samples in a frame.
        hop: samples from a frame to the next.
        win_length: length of the periodic Hann window, centred in a frame; 0 is n_fft.
        n_mels: number of mel bands.
        fmin, fmax: lowest and highest frequency in Hz; fmax 0 is half the sample rate.
        mel_scale: slaney (linear below 1 kHz) or htk.
        mel_norm: slaney (bands of equal area) or none (of equal peak).
        power: 2 for the mel spectrum of energies, 1 of magnitudes.
        pad: constant or reflect: frame t is centred on sample t * hop, the wave going on by zeros or mirrored;
            none: frame t begins there.
        amin: what is below counts as this.
        top_db: what is further than this below an example's peak is raised to that; 0 for no limit.

    Returns:
        (B, frames, n_mels) float32; frames = 1 + T // hop, or with pad "none" 1 + (T - n_fft) // hop.

    Raises:
        UserError: naming the option that cannot be.
    """
    check_choice("log_mel pad", pad, ("constant", "reflect", "none"))
    if pad != "none":
        waveform = jnp.pad(waveform, ((0, 0), (n_fft // 2, n_fft // 2)), mode=pad)
    energy = energy_spectrum(framed(waveform, n_fft, hop), hann(n_fft, win_length))
    filters = mel_filters(sample_rate, n_fft, n_mels, fmin, fmax, mel_scale, mel_norm)
    mel = jnp.dot(energy if power == 2 else energy ** (power / 2), filters, precision="highest")
    decibels = 10 * jnp.log10(jnp.maximum(mel, amin))
    return jnp.maximum(decibels, jnp.max(decibels, axis=(1, 2), keepdims=True) - top_db) if top_db else decibels


def energy_spectrum(frames, window):
    """|DFT|^2 of frames (B, F, N) times the `window` (N,), at the frequencies 0 .. N / 2: (B, F, N // 2 + 1).

    By products with cosines and sines: of a batch split over devices, XLA gathers all rows before an FFT.
    """
    n = len(window)
    # Whole turns are taken off while they are integers.
    angles = np.outer(np.arange(n), np.arange(n // 2 + 1)) % n * (2 * np.pi / n)
    cosines, sines = (window[:, None] * wave(angles) for wave in (np.cos, np.sin))
    # In full float32: an accelerator would round what it adds up to 8 bits.
    real, imaginary = (jnp.dot(frames, w.astype(np.float32), precision="highest") for w in (cosines, sines))
    return jnp.square(real) + jnp.square(imaginary)


def framed(x, length: int, hop: int):
    """x (B, T, ...) as overlapping frames (B, 1 + (T - length) // hop, length, ...)."""
    starts = np.arange(0, x.shape[1] - length + 1, hop)
    return x[:, starts[:, None] + np.arange(length)]


def hann(n_fft: int, win_length: int = 0) -> np.ndarray:
    """(n_fft,) float64 periodic Hann window of `win_length` samples between zeros."""
    length = win_length or n_fft
    before = (n_fft - length) // 2
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return np.pad(window, (before, n_fft - length - before))


def mel_filters(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    fmin: float = 0.0,
    fmax: float = 0.0,
    mel_scale: str = "slaney",
    mel_norm: str = "slaney",
) -> np.ndarray:
    """(n_fft // 2 + 1, n_mels) float32 triangles, evenly spaced on the mel scale; arguments as of `log_mel`."""
    check_choice("mel_scale", mel_scale, MEL_SCALES)
    check_choice("mel_norm", mel_norm, MEL_NORMS)
    to_mel, to_hz = (_hz_to_htk, _htk_to_hz) if mel_scale == "htk" else (_hz_to_slaney, _slaney_to_hz)
    corners = to_hz(np.linspace(to_mel(fmin), to_mel(fmax or sample_rate / 2), n_mels + 2))
    frequencies = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)[:, None]
    low, peak, high = corners[:-2], corners[1:-1], corners[2:]
    filters = np.maximum(0, np.minimum((frequencies - low) / (peak - low), (high - frequencies) / (high - peak)))
    return (filters * 2 / (high - low) if mel_norm == "slaney" else filters).astype(np.float32)


def _hz_to_htk(hz):
    return 2595 * np.log10(1 + hz / 700)


def _htk_to_hz(mel):
    return 700 * (10 ** (mel / 2595) - 1)


# Slaney's Auditory Toolbox: 15 mel to 1 kHz, from there 27 mel for each factor of 6.4.
def _hz_to_slaney(hz):
    return hz * 15 / 1000 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def _slaney_to_hz(mel):
    return np.where(mel < 15, mel * 1000 / 15, 1000 * 6.4 ** ((mel - 15) / 27))
