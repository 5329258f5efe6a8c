"""What encoders of waveforms share: a log-mel spectrogram, with SpecAugment in training, made on the device."""

import jax.numpy as jnp

from mmjax.encoders.conv import zero_padding
from mmjax.encoders.layers import keys_for
from mmjax.encoders.options import check_choice
from mmjax.encoders.spec_augment import spec_augment
from mmjax.encoders.spectrogram import MEL_NORMS, MEL_SCALES, log_mel
from mmjax.encoders.trunk import Transformer
from mmjax.errors import UserError


class AudioTransformer(Transformer):
    """The options of encoders of waveforms: the log-mel spectrogram and SpecAugment.

    Attributes:
        sample_rate: samples a second of the waveforms.
        n_fft: samples in a frame of the spectrogram.
        win_length: length of the Hann window in a frame; 0 is n_fft.
        hop: samples from a frame to the next.
        n_mels: number of mel bands.
        fmin: lowest frequency in Hz.
        fmax: highest frequency in Hz; 0 is half the sample rate.
        mel_scale: slaney (librosa's default) or htk.
        mel_norm: slaney (bands of equal area) or none (of equal peak).
        mean: mean of the spectrogram in dB, which normalisation takes away.
        std: standard deviation in dB, by which normalisation divides.
        frames: greatest number of frames, samples // hop.
        time_masks: number of bands of time that SpecAugment leaves out in training.
        time_mask: greatest width of one in frames.
        freq_masks: number of bands of frequency that SpecAugment leaves out in training.
        freq_mask: greatest width of one in mel bands.
    """

    sample_rate: int = 16000
    n_fft: int = 512
    win_length: int = 400
    hop: int = 160
    n_mels: int = 128
    fmin: float = 20.0
    fmax: float = 0.0
    mel_scale: str = "htk"
    mel_norm: str = "none"
    # AST's statistics of AudioSet, -4.2677393 and twice 4.5689974 in natural logarithms of energy.
    mean: float = -18.53
    std: float = 39.69
    frames: int = 1024
    time_masks: int = 0
    time_mask: int = 192
    freq_masks: int = 0
    freq_mask: int = 48

    def __post_init__(self):
        super().__post_init__()
        kind = type(self).__name__
        check_choice(f"{kind}.mel_scale", self.mel_scale, MEL_SCALES)
        check_choice(f"{kind}.mel_norm", self.mel_norm, MEL_NORMS)
        if min(self.sample_rate, self.n_fft, self.hop, self.n_mels, self.frames, self.std) <= 0:
            raise UserError(f"{kind} has a size that is not positive", remedy="give positive sizes")
        if self.win_length > self.n_fft:
            raise UserError(f"{kind}.win_length {self.win_length} is more than n_fft {self.n_fft}")

    def _spectrogram(self, x, mask, keys):
        """The normalised spectrogram (B, frames, n_mels) in `dtype`, 0 where padded, and its lengths (B,) int32.

        Of the frames of a wave, the one centred on its end is left out, as Whisper does: 10.24 s are 1024.
        """
        if x.ndim != 2 or not jnp.issubdtype(x.dtype, jnp.floating):
            raise UserError(
                f"{type(self).__name__} cannot take {x.dtype} of shape {x.shape}",
                remedy="give floating waveforms, (batch, samples)",
            )
        x, names = x.astype(jnp.float32), ("n_fft", "win_length", "hop", "n_mels", "fmin", "fmax")
        options = {name: getattr(self, name) for name in (*names, "sample_rate", "mel_scale", "mel_norm")}
        mel = log_mel(x if mask is None else jnp.where(mask, x, 0), **options)
        mel = (mel[:, : max(x.shape[1] // self.hop, 1)] - self.mean) / self.std
        samples = jnp.full(len(x), x.shape[1], jnp.int32) if mask is None else jnp.sum(mask, axis=1, dtype=jnp.int32)
        lengths = jnp.maximum(samples // self.hop, 1)
        if keys is not None:
            bands = {name: getattr(self, name) for name in ("time_masks", "time_mask", "freq_masks", "freq_mask")}
            mel = spec_augment(mel, keys_for(keys, "spec_augment"), lengths, **bands)
        return zero_padding(mel, before(mel.shape[1], lengths)).astype(self.dtype), lengths


def before(size: int, lengths):
    """(B, size) bool, True in the first `lengths` (B,) places of each row."""
    return jnp.arange(size)[None] < lengths[:, None]
