"""The smallest parts: dense layer, dropout by example.

Parameters are float32 whatever the dtype of activations. A dense layer holds `kernel` (inputs, outputs) and
`bias` (outputs,).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders.products import column_sums, dense
from mmjax.rng import fold_keys, purpose_number

DTYPES = ("float32", "bfloat16")


def along_last(vector, x):
    """The (D,) `vector` in the dtype of x (..., D) and shaped to broadcast along its last axis."""
    return vector.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


def fan_in(gain: float = 1.0):
    """Initialiser: truncated normal of standard deviation gain / sqrt(inputs)."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "truncated_normal")


class Weights(nn.Module):
    """The parameters of a dense layer alone: `kernel` and, with use_bias, `bias`.

    Attributes:
        features: number of outputs.
        use_bias: whether there is a bias.
        gain: multiplies the standard deviation 1 / sqrt(inputs) of the initial kernel.
    """

    features: int
    use_bias: bool = True
    gain: float = 1.0

    @nn.compact
    def __call__(self, inputs: int):
        """(kernel (inputs, features), bias (features,) or None)."""
        return self._weights(inputs)

    def _weights(self, inputs: int):
        kernel = self.param("kernel", fan_in(self.gain), (inputs, self.features))
        return kernel, self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None


class Dense(Weights):
    """x (..., D) -> (..., features).

    Attributes:
        features, use_bias, gain: as of `Weights`.
        dtype: dtype of the product.
    """

    dtype: str = "float32"

    @nn.compact
    def __call__(self, x):
        """x (..., D) -> (..., features) in `dtype`."""
        return affine(x, [self._weights(x.shape[-1])], self.dtype)[0]


def affine(x, weights, dtype: str) -> list:
    """x (..., D) times the kernel plus the bias of each of `weights`, pairs as of `Weights`."""
    kernels, biases = zip(*weights, strict=True)
    ys = dense(x, kernels, jnp.dtype(dtype))
    return [y if bias is None else add_bias(y, bias) for y, bias in zip(ys, biases, strict=True)]


@jax.custom_vjp
def add_bias(x, bias):
    """x (..., D) + bias (D,) in the dtype of x; the bias's gradient is summed in float32."""
    return x + along_last(bias, x)


add_bias.defvjp(lambda x, bias: (add_bias(x, bias), bias), lambda bias, g: (g, column_sums(g).astype(bias.dtype)))


def keys_for(keys, purpose: str):
    """The (B,) per-example keys of one purpose, None if there are none."""
    return None if keys is None else fold_keys(keys, purpose_number(purpose))


def dropout(x, rate: float, keys):
    """x (B, ...) with each number zeroed at `rate` by its example's key, the rest scaled up; x itself without keys."""
    if keys is None or rate == 0:
        return x
    return _drop(x, jnp.float32(rate), keys, x.shape[1:])


def drop_path(x, rate, keys):
    """x (B, ...) with whole examples zeroed at `rate`, which may be traced, and the rest scaled up.

    Stochastic depth (Huang et al. 2016, arXiv 1603.09382) when x is the output of a residual branch.
    """
    return x if keys is None else _drop(x, rate, keys, (1,) * (x.ndim - 1))


def _drop(x, rate, keys, shape):
    kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, shape))(keys)
    return jnp.where(kept, x * (1 / (1 - rate)).astype(x.dtype), 0)
