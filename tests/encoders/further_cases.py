"""Tiny encoders of the further modalities, their inputs and what of them is real."""

import jax.numpy as jnp
import numpy as np
from encoder_cases import TINY

from mmjax.encoders import (
    AST,
    GRU,
    XCLIP,
    Characters,
    ConvAudio,
    EmbeddingMLP,
    SeriesConv,
    SeriesTransformer,
    SpaceTime,
    Video,
    Volume,
)

# Scanned, as it compiles faster.
SCANNED = {**TINY, "scan": True}
MEL = {"sample_rate": 800, "n_fft": 64, "win_length": 40, "hop": 16, "n_mels": 16, "frames": 40}
AUDIO = {**SCANNED, **MEL, "time_masks": 1, "time_mask": 4, "freq_masks": 1, "freq_mask": 3}
FRAMES = {**SCANNED, "image_size": 16, "patch_size": 8}

TRANSFORMERS = {
    "ast": AST(**AUDIO, patch_size=8, stride=5),
    "audio_conv": ConvAudio(**AUDIO),
    "video": Video(**FRAMES, frames=5),
    "video-temporal": Video(**FRAMES, frames=5, temporal_depth=2),
    "space_time": SpaceTime(**FRAMES, frames=5),
    "xclip": XCLIP(**FRAMES, frames=5),
    "volume": Volume(**FRAMES, slices=5),
    "series": SeriesTransformer(**SCANNED, length=24, patch_size=6, stride=4),
    "characters": Characters(**SCANNED, vocab_size=40, context=24, stride=3),
}
OTHERS = {
    "series_conv": SeriesConv(width=16, depth=3),
    "gru": GRU(vocab_size=40, context=24, width=16, depth=2),
    "embedding": EmbeddingMLP(width=16, depth=3),
}
ENCODERS = TRANSFORMERS | OTHERS


def example_input(encoder, batch=4):
    """A batch for an encoder: (inputs, real lengths of four examples or None)."""
    rng = np.random.default_rng(0)
    if isinstance(encoder, AST | ConvAudio):
        return rng.normal(size=(batch, 560)).astype(np.float32), (560, 384, 208, 10)
    if isinstance(encoder, Video | SpaceTime | Volume):
        return rng.normal(size=(batch, 4, 16, 16, 3)).astype(np.float32), (4, 3, 2, 1)
    if isinstance(encoder, SeriesTransformer | SeriesConv):
        return rng.normal(size=(batch, 21, 2)).astype(np.float32), (21, 14, 7, 2)
    if isinstance(encoder, Characters | GRU):
        return rng.integers(1, 40, (batch, 21)).astype(np.int32), (21, 14, 7, 2)
    return rng.normal(size=(batch, 6)).astype(np.float32), None


def mask_of(x, lengths):
    """(B, T) bool, True in the first `lengths` places."""
    return np.arange(x.shape[1])[None] < np.asarray(lengths)[:, None]


def with_noise_as_padding(x, mask, seed=9):
    """x with other numbers where the mask is False."""
    noise = np.random.default_rng(seed).integers(1, 40, x.shape).astype(x.dtype)
    return jnp.where(mask.reshape(*mask.shape, *(1,) * (x.ndim - 2)), x, noise)
