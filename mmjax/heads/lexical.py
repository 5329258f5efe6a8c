"""Samples as weights over a vocabulary."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.features import Features
from mmjax.errors import UserError
from mmjax.heads.base import StreamHead
from mmjax.losses.lexical import elu1p
from mmjax.losses.tokens_codebook import greatest_products


class LexicalHead(StreamHead):
    """V(x) = max over tokens of elu1p(LN(h) E^T): `pooled` (B, vocabulary), positive and not of unit norm.

    Of VDR (Zhou et al. 2024, arXiv 2212.07699, equations 2 and 3). A tower without tokens has its projected vector as
    the only one.

    Attributes:
        stream: the stream, or other head, whose tokens it takes.
        vocabulary: number of words; the tokenizer's, where losses compare with a caption's words.
    """

    vocabulary: int = 30522

    def __post_init__(self):
        super().__post_init__()
        if self.vocabulary < 1:
            raise UserError(f"LexicalHead has a vocabulary of {self.vocabulary}", remedy="give the tokenizer's size")

    @nn.compact
    def __call__(self, features, *, keys=None) -> Features:
        """Features whose pooled vectors (B, vocabulary) float32 are weights of words; 0 of a sample without a token."""
        taken = features[self.stream]
        tokens = taken.pooled[:, None] if taken.tokens is None else taken.tokens
        mask = jnp.ones(tokens.shape[:2], bool) if taken.tokens is None or taken.mask is None else taken.mask
        normed = nn.LayerNorm(epsilon=1e-5, name="norm")(tokens.astype(jnp.float32))
        words = self.param(
            "words", nn.initializers.normal(tokens.shape[-1] ** -0.5), (self.vocabulary, tokens.shape[-1])
        )
        greatest = greatest_products(normed, mask, words)
        some = jnp.any(mask, axis=1)[:, None]
        # elu1p grows, so that the maximum may come first: one activation for a sample instead of one for a token.
        return Features(jnp.where(some, elu1p(jnp.where(some, greatest, 0.0)), 0.0))
