"""Multi-head attention."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders.layers import Dense
from mmjax.encoders.spec import Spec


def attend(query, key, value, bias=None):
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1), the softmax in float32.

    Args:
        query: (B, N, heads, d).
        key, value: (B, M, heads, d).
        bias: None or float32 (B or 1, 1, N or 1, M), added to the logits.

    Returns:
        (B, N, heads, d) in the dtype of `value`.
    """
    query = query * query.shape[-1] ** -0.5
    logits = jnp.einsum("bnhd,bmhd->bhnm", query, key, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(logits if bias is None else logits + bias)
    return jnp.einsum("bhnm,bmhd->bnhd", weights.astype(value.dtype), value)


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
    def __call__(self, queries, x, bias=None):
        """queries (B, N, D), x (B, M, D), bias as for `attend` -> (B, N, width)."""
        s = self.spec
        query = self._heads("query", queries)
        key = self._heads("key", x)
        if s.qk_norm:
            query, key = s.make_norm("query_norm")(query), s.make_norm("key_norm")(key)
        y = attend(query, key, self._heads("value", x), bias)
        return Dense(s.width, gain=self.gain, dtype=s.dtype, name="out")(y.reshape(*y.shape[:2], s.width))

    def _heads(self, name, x):
        s = self.spec
        return Dense(s.width, dtype=s.dtype, name=name)(x).reshape(*x.shape[:2], s.heads, s.width // s.heads)
