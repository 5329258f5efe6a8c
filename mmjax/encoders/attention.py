"""Multi-head attention."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders.layers import Dense, Weights, affine
from mmjax.encoders.products import OF_ACTIVATIONS, matmul, matmul_columns, matmul_rows, pack, saveable, unpack
from mmjax.encoders.spec import Spec


@jax.custom_vjp
def attend(query, key, value, bias=None):
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1), the softmax in float32.

    Args:
        query: (B, N, heads, d).
        key, value: (B, M, heads, d).
        bias: None or float32 (B or 1, 1, N or 1, M), added to the logits; no gradient flows to it.

    Returns:
        (B, N, heads, d) in the dtype of `value`.
    """
    return _attend_forward(query, key, value, bias)[0]


def _attend_forward(query, key, value, bias):
    query, key, value = (x.swapaxes(1, 2) for x in (query * query.shape[-1] ** -0.5, key, value))
    logits = saveable(matmul_rows(query, key, jnp.float32), OF_ACTIVATIONS)
    weights = jax.nn.softmax(logits if bias is None else logits + bias).astype(value.dtype)
    y = saveable(matmul(weights, value, value.dtype), OF_ACTIVATIONS)
    return y.swapaxes(1, 2), tuple(pack(x) for x in (query, key, value, weights))


def _attend_backward(residuals, g):
    g, dtype = g.swapaxes(1, 2), g.dtype
    query, key, value, weights = (unpack(x, dtype) for x in residuals)
    to_value = matmul_columns(weights, g, dtype)
    to_weights = matmul_rows(g, value, jnp.float32) * weights.astype(jnp.float32)
    shared = weights.astype(jnp.float32) * jnp.sum(to_weights, axis=-1, keepdims=True)
    to_logits = (to_weights - shared).astype(dtype)
    to_query = matmul(to_logits, key, dtype) * query.shape[-1] ** -0.5
    to_key = matmul_columns(to_logits, query, dtype)
    return (*(x.swapaxes(1, 2) for x in (to_query, to_key, to_value)), None)


attend.defvjp(_attend_forward, _attend_backward)


def attention_bias(mask=None, *, causal_length: int = 0):
    """What to add to attention logits: 0 where a query may look, -inf elsewhere; None if it may look everywhere.

    A query that may look nowhere looks everywhere instead, so that no softmax is over nothing: its output is finite,
    and whoever masked all its keys ignores it.

    Args:
        mask: (B, M) bool, True for keys to look at, or None for all.
        causal_length: N = M if query i sees keys 0..i only; 0 if it sees later ones too.

    Returns:
        float32 (B or 1, 1, N or 1, M), or None.
    """
    if mask is None and not causal_length:
        return None
    allowed = jnp.ones((1, 1, 1, 1), bool) if mask is None else mask[:, None, None, :]
    if causal_length:
        allowed = allowed & jnp.tri(causal_length, dtype=bool)[None, None]
    nowhere = ~jnp.any(allowed, axis=-1, keepdims=True)
    return jnp.where(allowed | nowhere, 0.0, -jnp.inf).astype(jnp.float32)


class Attention(nn.Module):
    """Multi-head attention of `queries` to `x`.

    Attributes:
        spec: width, heads, norms and dtype.
        gain: scale of the initial output projection.
    """

    spec: Spec
    gain: float = 1.0

    @nn.compact
    def __call__(self, queries, x, bias=None, attend=attend):
        """queries (B, N, D), x (B, M, D), bias as for `attend` -> (B, N, width).

        `attend` may be another function of (query, key, value, bias), which keeps some tokens from one another.
        """
        s = self.spec
        query, key, value = (self._heads(y) for y in self._projected(queries, x))
        if s.qk_norm:
            query, key = s.make_norm("query_norm")(query), s.make_norm("key_norm")(key)
        y = attend(query, key, value, bias)
        return Dense(s.width, gain=self.gain, dtype=s.dtype, name="out")(y.reshape(*y.shape[:2], s.width))

    def _projected(self, queries, x):
        """Queries of `queries`, keys and values of `x`; where both are the same, one pass over it."""
        width, dtype = self.spec.width, self.spec.dtype
        query = Weights(width, name="query")(queries.shape[-1])
        key, value = (Weights(width, name=name)(x.shape[-1]) for name in ("key", "value"))
        if queries is x:
            return affine(x, [query, key, value], dtype)
        return affine(queries, [query], dtype) + affine(x, [key, value], dtype)

    def _heads(self, y):
        return y.reshape(*y.shape[:2], self.spec.heads, -1)
