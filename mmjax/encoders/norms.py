"""Normalisation over the last axis. Parameters: `scale` (D,) and, for the layer norm, `bias` (D,)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders.layers import along_last
from mmjax.encoders.products import column_sums, like, pack, unpack

NORMS = ("layer", "rms")


class Norm(nn.Module):
    """Layer norm (Ba et al. 2016) or RMS norm (Zhang and Sennrich 2019) over the last axis, computed in float32.

    Attributes:
        kind: "layer" or "rms".
        eps: added to the mean square.
        dtype: dtype of the result.
    """

    kind: str = "layer"
    eps: float = 1e-6
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x):
        """x (..., D) -> (..., D) in `dtype`."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:]) if self.kind == "layer" else None
        return normalise(x, scale, bias, self.eps, jnp.dtype(self.dtype))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def normalise(x, scale, bias, eps: float, dtype):
    """The layer norm of x (..., D), or its RMS norm where `bias` is None, in `dtype`; backward keeps x and moments."""
    return _forward(x, scale, bias, eps, dtype)[0]


def _forward(x, scale, bias, eps, dtype):
    x_ = x.astype(jnp.float32)
    mean = None if bias is None else jnp.mean(x_, axis=-1, keepdims=True)
    centred = x_ if bias is None else x_ - mean
    inverse = jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + eps)
    y = centred * inverse * along_last(scale, x_)
    y = y if bias is None else y + along_last(bias, y)
    return y.astype(dtype), (pack(x), like(x), mean, inverse, scale)


def _backward(eps, dtype, residuals, g):
    bits, like_x, mean, inverse, scale = residuals
    g, x = g.astype(jnp.float32), unpack(bits, like_x.dtype).astype(jnp.float32)
    y = (x if mean is None else x - mean) * inverse
    to_y = g * along_last(scale, g)
    to_x = to_y - y * jnp.mean(to_y * y, axis=-1, keepdims=True)
    if mean is not None:
        to_x = to_x - jnp.mean(to_y, axis=-1, keepdims=True)
    to_bias = None if mean is None else column_sums(g).astype(scale.dtype)
    return (to_x * inverse).astype(like_x.dtype), column_sums(g * y).astype(scale.dtype), to_bias


normalise.defvjp(_forward, _backward)


def unit_norm(x):
    """Rows of x (..., D) divided by their Euclidean norm, in float32; a zero row stays zero with finite gradient."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True) + 1e-12)
