"""Time series: a patch transformer and a stack of 1-D convolutions.

Parameters, W = width, C = channels, p = patch_size, k = kernel_size:

    stem/{kernel,bias}                (p * C, W), SeriesTransformer; (k * C, W), SeriesConv
    class_embedding                   (W,), with pool "cls"
    position_embedding                (ceil(length / stride), W); no position for the class token
    blocks/..., norm/..., pool/...    see blocks.py and pooling.py
    norm_i/..., hidden_i/{kernel,bias}    (W,), (k * W, W): SeriesConv, i = 1 .. depth - 1; then norm/...
"""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.activations import ACTIVATIONS
from mmjax.encoders.conv import Conv1d, zero_padding
from mmjax.encoders.features import Features
from mmjax.encoders.layers import DTYPES, Dense, dropout, keys_for
from mmjax.encoders.norms import NORMS, Norm
from mmjax.encoders.options import check_choice, check_rates
from mmjax.encoders.pooling import mean_pool
from mmjax.encoders.spectrogram import framed
from mmjax.encoders.trunk import Transformer, encode_tokens
from mmjax.errors import UserError


class SeriesTransformer(Transformer):
    """A transformer over patches of time, as PatchTST's (Nie et al. 2023, arXiv 2211.14730): (B, T, C) to `Features`.

    A patch holds all channels, so that the encoder sees how they move together; PatchTST's channels are apart.

    Attributes:
        length: greatest number of steps.
        patch_size: steps in a patch.
        stride: steps from a patch to the next; below patch_size, patches overlap.
    """

    length: int = 512
    patch_size: int = 16
    stride: int = 8

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.stride <= self.patch_size or self.length < 1:
            raise UserError(
                f"SeriesTransformer cannot cut {self.length} steps into patches of {self.patch_size}",
                where=f"stride {self.stride}",
                remedy="give 0 < stride <= patch_size",
            )

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of time series.

        Args:
            x: (B, T, C), floating.
            mask: (B, T) bool, True for real steps, which come first; None: all are.
            keys: (B,) per-example keys in training, or None.

        Returns:
            Tokens of ceil(T / stride) patches; a patch is real if its first step is.

        Raises:
            UserError: if x is no floating array of three axes, or longer than `length`.
        """
        check_series(self, x)
        count = -(-x.shape[1] // self.stride)
        seen = (count - 1) * self.stride + self.patch_size
        x = jnp.pad(zero_padding(x, mask), ((0, 0), (0, max(seen - x.shape[1], 0)), (0, 0)))
        patches = framed(x, self.patch_size, self.stride)[:, :count].reshape(len(x), count, -1)
        tokens = Dense(self.width, dtype=self.dtype, name="stem")(patches.astype(self.dtype))
        tokens = self._positioned(tokens, -(-self.length // self.stride))
        mask = None if mask is None else mask[:, :: self.stride]
        return encode_tokens(self, tokens, self._class_token(), mask=mask, keys=keys)


class SeriesConv(nn.Module):
    """Convolutions over time of stride 2, then the mean: time series (B, T, C), of any length, to `Features`.

    Attributes:
        width: number of channels of every layer.
        depth: number of convolutions; each halves the steps.
        kernel_size: steps that a convolution sees.
        act: gelu (exact), gelu_tanh or quick_gelu.
        norm: layer or rms, over channels.
        norm_eps: added to the mean square in norms.
        dropout: rate of zeros in the hidden units.
        dtype: dtype of activations, float32 or bfloat16.
    """

    width: int = 256
    depth: int = 4
    kernel_size: int = 5
    act: str = "gelu"
    norm: str = "layer"
    norm_eps: float = 1e-6
    dropout: float = 0.0
    dtype: str = "float32"

    def __post_init__(self):
        super().__post_init__()
        check_choice("SeriesConv.act", self.act, set(ACTIVATIONS) - {"swiglu"})
        check_choice("SeriesConv.norm", self.norm, NORMS)
        check_choice("SeriesConv.dtype", self.dtype, DTYPES)
        check_rates("SeriesConv", dropout=self.dropout)
        if min(self.width, self.depth, self.kernel_size) < 1:
            raise UserError("SeriesConv has a size that is not positive", remedy="give positive sizes")

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of time series.

        Args:
            x: (B, T, C), floating.
            mask: (B, T) bool, True for real steps, which come first; None: all are.
            keys: (B,) per-example keys in training, or None.

        Returns:
            Tokens of ceil(T / 2^depth) times.

        Raises:
            UserError: if x is no floating array of three axes.
        """
        check_series(self, x)
        x = zero_padding(x, mask).astype(self.dtype)
        for i in range(self.depth):
            y = x if i == 0 else zero_padding(self._norm(f"norm_{i}")(x), mask)
            conv = Conv1d(self.width, dtype=self.dtype, kernel_size=self.kernel_size, stride=2, name=_layer_name(i))
            x = dropout(ACTIVATIONS[self.act](conv(y)), self.dropout, keys_for(keys, _layer_name(i)))
            mask = None if mask is None else mask[:, ::2]
        tokens = self._norm("norm")(x)
        return Features(mean_pool(tokens, mask), tokens, mask)

    def _norm(self, name):
        return Norm(self.norm, self.norm_eps, self.dtype, name=name)


def _layer_name(i: int) -> str:
    return f"hidden_{i}" if i else "stem"


def check_series(encoder, x) -> None:
    """Raise `UserError` unless x is floating with the three axes of time series."""
    if x.ndim != 3 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise UserError(
            f"{type(encoder).__name__} cannot take {x.dtype} of shape {x.shape}",
            remedy="give floating series, (batch, steps, channels)",
        )
