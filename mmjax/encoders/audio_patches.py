"""The Audio Spectrogram Transformer: a ViT on overlapping patches of a log-mel spectrogram.

Parameters, W = width, p = patch_size:

    stem/{kernel,bias}                (p * p, W), (W,): of a patch, all bands of a time before the next
    class_embedding                   (W,), with pool "cls"
    position_embedding                (times * bands, W), all bands of a time before the next; none of the class token
    blocks/..., norm/..., pool/...    see blocks.py and pooling.py
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from mmjax.encoders.audio import AudioTransformer, before
from mmjax.encoders.features import Features
from mmjax.encoders.layers import Dense
from mmjax.encoders.spectrogram import framed
from mmjax.encoders.trunk import encode_tokens
from mmjax.errors import UserError


class AST(AudioTransformer):
    """Audio Spectrogram Transformer (Gong et al. 2021, arXiv 2104.01778): waveforms (B, T) to `Features`.

    Its own are the options of patches; it has one class token where the paper's, being DeiT's, has two.

    Attributes:
        patch_size: side of a patch in frames and in mel bands.
        stride: steps from a patch to the next; below patch_size, patches overlap.
    """

    patch_size: int = 16
    stride: int = 10

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.stride <= self.patch_size <= min(self.n_mels, self.frames):
            raise UserError(
                f"AST cannot cut {self.frames} frames of {self.n_mels} bands into patches of {self.patch_size}",
                where=f"stride {self.stride}",
                remedy="give 0 < stride <= patch_size <= n_mels",
            )

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of waveforms.

        Args:
            x: (B, T) floating.
            mask: (B, T) bool, True for real samples, which come first; None: all are.
            keys: (B,) per-example keys in training, or None.

        Returns:
            Tokens of patches, all bands of a time before the next; a patch is real if all its frames are, or the first.

        Raises:
            UserError: if x is no floating array of two axes, or longer than `frames`.
        """
        mel, lengths = self._spectrogram(x, mask, keys)
        patches = self._patches(mel)
        batch, times, bands, _ = patches.shape
        tokens = Dense(self.width, dtype=self.dtype, name="stem")(patches.reshape(batch, times * bands, -1))
        real = 1 + jnp.maximum(lengths - self.patch_size, 0) // self.stride
        tokens = self._positioned(tokens, self._count(self.frames) * bands)
        token_mask = None if mask is None else jnp.repeat(before(times, real), bands, axis=1)
        return encode_tokens(self, tokens, self._class_token(), mask=token_mask, keys=keys)

    def _patches(self, mel):
        """mel (B, F, M) -> (B, times, bands, patch_size^2)."""
        p, batch = self.patch_size, len(mel)
        mel = jnp.pad(mel, ((0, 0), (0, max(p - mel.shape[1], 0)), (0, 0)))
        columns = np.arange(self._count(self.n_mels))[:, None] * self.stride + np.arange(p)
        patches = framed(mel, p, self.stride)[..., columns].swapaxes(2, 3)
        return patches.reshape(batch, patches.shape[1], len(columns), p * p)

    def _count(self, size: int) -> int:
        return 1 + (size - self.patch_size) // self.stride
