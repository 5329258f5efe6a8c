"""Every token in the shared space."""

import flax.linen as nn

from mmjax.encoders.features import Features
from mmjax.encoders.layers import Dense
from mmjax.encoders.norms import unit_norm
from mmjax.heads.base import StreamHead, tokens_of


class TokensHead(StreamHead):
    """The tokens of a stream by a linear layer into the shared space, each of unit norm; pooled stays the stream's."""

    @nn.compact
    def __call__(self, features, *, keys=None) -> Features:
        """Features whose tokens (B, N, embed_dim) float32 are of unit norm."""
        taken = tokens_of(self, features)
        tokens = unit_norm(Dense(self.embed_dim, use_bias=False, name="out")(taken.tokens.astype("float32")))
        return taken.replace(tokens=tokens)
