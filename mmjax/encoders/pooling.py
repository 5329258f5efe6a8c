"""Many tokens to one vector."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.attention import Attention, attention_bias
from mmjax.encoders.blocks import MLP
from mmjax.encoders.spec import Spec


def mean_pool(tokens, mask=None):
    """The mean over real tokens, in float32; zeros where there is none.

    Args:
        tokens: (B, N, D).
        mask: (B, N) bool, True for real tokens, or None.

    Returns:
        (B, D) float32.
    """
    tokens = tokens.astype(jnp.float32)
    if mask is None:
        return jnp.mean(tokens, axis=1)
    mask = mask.astype(jnp.float32)[..., None]
    return jnp.sum(tokens * mask, axis=1) / jnp.maximum(jnp.sum(mask, axis=1), 1)


def first_position(ids, wanted: int):
    """(B,) index of the first `wanted` in each row of ids (B, L); the last index where there is none."""
    found = ids == wanted
    return jnp.where(jnp.any(found, axis=1), jnp.argmax(found, axis=1), ids.shape[1] - 1)


class MapPool(nn.Module):
    """Multi-head attention pooling (Zhai et al. 2022, arXiv 2106.04560, app. C; big_vision's MAPHead).

    A learned probe attends to the tokens, then x + mlp(norm(x)). Parameters: probe (width,), attention/, norm/, mlp/.

    Attributes:
        spec: the options of the encoder's blocks.
    """

    spec: Spec

    @nn.compact
    def __call__(self, tokens, mask=None):
        """tokens (B, N, width), mask (B, N) bool or None -> (B, width)."""
        # The head of the published weights has no norm of queries and keys, also where the blocks have.
        s = dataclasses.replace(self.spec, qk_norm=False)
        probe = self.param("probe", nn.initializers.normal(s.width**-0.5), (s.width,)).astype(s.dtype)
        probe = jnp.broadcast_to(probe[None, None], (len(tokens), 1, s.width))
        x = Attention(s, name="attention")(probe, tokens, attention_bias(mask))
        return (x + MLP(s, name="mlp")(s.make_norm("norm")(x)))[:, 0]
