"""Several spaces side by side."""

import jax.numpy as jnp

from mmjax.encoders.features import Features
from mmjax.encoders.norms import unit_norm
from mmjax.heads.base import Head


class ConcatHead(Head):
    """Pooled features of several streams, heads or teachers side by side, of unit norm.

    Attributes:
        streams: the names of the features.
    """

    streams: tuple = ()

    @property
    def reads(self):
        """The names of the features that it takes."""
        return tuple(self.streams)

    def __call__(self, features, *, keys=None) -> Features:
        """Features whose pooled vectors are as wide as those taken together."""
        return Features(unit_norm(jnp.concatenate([features[name].pooled for name in self.streams], axis=1)))
