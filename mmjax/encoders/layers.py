"""The smallest parts: matrix product, dense layer, normalisation, activation functions, dropout by example.

Parameters are float32 whatever the dtype of activations. A dense layer holds `kernel` (inputs, outputs) and
`bias` (outputs,); a norm holds `scale` (D,) and, the layer norm, `bias` (D,).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.rng import fold_keys, purpose_number


def dot(x, kernel, dtype):
    """x (..., D) times kernel (D, K) -> (..., K), in `dtype`. Every product with a parameter passes through here."""
    contract_last_with_first = (((x.ndim - 1,), (0,)), ((), ()))
    return jax.lax.dot_general(x.astype(dtype), kernel.astype(dtype), contract_last_with_first)


def along_last(vector, x):
    """The (D,) `vector` in the dtype of x (..., D) and shaped to broadcast along its last axis."""
    return vector.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


def fan_in(gain: float = 1.0):
    """Initialiser: truncated normal of standard deviation gain / sqrt(inputs)."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "truncated_normal")


class Dense(nn.Module):
    """x (..., D) -> (..., features).

    Attributes:
        features: number of outputs.
        use_bias: whether a bias is added.
        gain: multiplies the standard deviation 1 / sqrt(D) of the initial kernel.
        dtype: dtype of the product.
    """

    features: int
    use_bias: bool = True
    gain: float = 1.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x):
        """x (..., D) -> (..., features) in `dtype`."""
        y = dot(x, self.param("kernel", fan_in(self.gain), (x.shape[-1], self.features)), self.dtype)
        if not self.use_bias:
            return y
        return y + along_last(self.param("bias", nn.initializers.zeros, (self.features,)), y)


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
        y = x.astype(jnp.float32)
        if self.kind == "layer":
            y = y - jnp.mean(y, axis=-1, keepdims=True)
        y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=-1, keepdims=True) + self.eps)
        y = y * along_last(self.param("scale", nn.initializers.ones, x.shape[-1:]), y)
        if self.kind == "layer":
            y = y + along_last(self.param("bias", nn.initializers.zeros, x.shape[-1:]), y)
        return y.astype(self.dtype)


def quick_gelu(x):
    """x * sigmoid(1.702 x), the approximation that OpenAI's CLIP weights were trained with."""
    return x * jax.nn.sigmoid(1.702 * x)


# "swiglu" (Shazeer 2020, arXiv 2002.05202) is silu gated by a second projection, which the MLP adds.
ACTIVATIONS = {
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "quick_gelu": quick_gelu,
    "swiglu": jax.nn.silu,
}
NORMS = ("layer", "rms")
DTYPES = ("float32", "bfloat16")


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
