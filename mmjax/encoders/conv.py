"""Convolution over time as a product: frames of `kernel_size` steps, laid flat, times a kernel."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.layers import Dense
from mmjax.encoders.spectrogram import framed


class Conv1d(Dense):
    """1-D convolution, zeros before and after: x (B, T, C) to (B, ceil(T / stride), features).

    Output j is centred on input j * stride. Parameters: kernel (kernel_size * C, features), steps first; bias.

    Attributes:
        features, use_bias, gain, dtype: as of `Dense`.
        kernel_size: steps that an output sees.
        stride: steps from an output to the next.
    """

    kernel_size: int = 3
    stride: int = 1

    @nn.compact
    def __call__(self, x):
        """x (B, T, C) -> (B, ceil(T / stride), features)."""
        steps, before = x.shape[1], (self.kernel_size - 1) // 2
        seen = (steps - 1) // self.stride * self.stride + self.kernel_size
        x = jnp.pad(x, ((0, 0), (before, max(seen - before - steps, 0)), (0, 0)))
        x = framed(x[:, :seen], self.kernel_size, self.stride)
        return super().__call__(x.reshape(*x.shape[:2], -1))


def zero_padding(x, mask):
    """x (B, T, D) with zeros where mask (B, T) is False, as if nothing were there; x itself without a mask."""
    return x if mask is None else jnp.where(mask[:, :, None], x, 0)
