"""Activation functions, computed in float32; backward keeps their input alone."""

import functools

import jax
import jax.numpy as jnp

from mmjax.encoders.products import pack, unpack


def gelu(x):
    """x times the normal distribution's Phi(x) (Hendrycks and Gimpel 2016, arXiv 1606.08415)."""
    # As in torch. The erfc of jax.nn.gelu takes twice the time to keep more digits where the result is about zero.
    return x * (0.5 + 0.5 * jax.lax.erf(x * 0.5**0.5))


def quick_gelu(x):
    """x * sigmoid(1.702 x), the approximation that OpenAI's CLIP weights were trained with."""
    return x * jax.nn.sigmoid(1.702 * x)


def from_input(function):
    """`function` of each number alone, in the dtype of x; its derivative is computed again from x, not kept."""

    @jax.custom_vjp
    def apply(x):
        return function(x.astype(jnp.float32)).astype(x.dtype)

    def backward(bits, g):
        x = unpack(bits, g.dtype).astype(jnp.float32)
        _, to_x = jax.jvp(function, (x,), (g.astype(jnp.float32),))
        return (to_x.astype(g.dtype),)

    apply.defvjp(lambda x: (apply(x), pack(x)), backward)
    return apply


# "swiglu" (Shazeer 2020, arXiv 2002.05202) is silu gated by a second projection, which the MLP adds.
ACTIVATIONS = {
    "gelu": from_input(gelu),
    "gelu_tanh": from_input(functools.partial(jax.nn.gelu, approximate=True)),
    "quick_gelu": from_input(quick_gelu),
    "swiglu": from_input(jax.nn.silu),
}
