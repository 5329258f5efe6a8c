"""Tokens and their mean in the shared space."""

import flax.linen as nn

from mmjax.encoders.features import Features
from mmjax.encoders.layers import Dense
from mmjax.encoders.norms import unit_norm
from mmjax.encoders.pooling import mean_pool
from mmjax.heads.base import StreamHead, tokens_of


class TokenMeanHead(StreamHead):
    """The tokens of a stream by a linear layer into the shared space, and the mean of them, of unit norm, as pooled.

    An embedding of something is then the sum of those of its parts, so that a part's product with another embedding is
    what it adds to the whole's: which patches a text is about. The tokens are not of unit norm.
    """

    @nn.compact
    def __call__(self, features, *, keys=None) -> Features:
        """Features whose tokens (B, N, embed_dim) float32 have the pooled vectors as their mean, up to its length."""
        taken = tokens_of(self, features)
        tokens = Dense(self.embed_dim, use_bias=False, name="out")(taken.tokens.astype("float32"))
        return taken.replace(tokens=tokens, pooled=unit_norm(mean_pool(tokens, taken.mask)))
