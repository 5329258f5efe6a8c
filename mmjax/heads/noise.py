"""Noise on embeddings in training."""

import jax
import jax.numpy as jnp

from mmjax.encoders.features import Features
from mmjax.encoders.norms import unit_norm
from mmjax.errors import UserError
from mmjax.heads.base import StreamHead


class NoiseHead(StreamHead):
    """A stream's pooled vectors with Gaussian noise in training, of unit norm again; in evaluation as they are.

    What is trained on such texts meets pictures, which lie beside them, better (XBT, Jang & Lim 2024, 2405.14715).

    Attributes:
        sigma: standard deviation of the noise in every dimension.
    """

    sigma: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        if self.sigma < 0:
            raise UserError(f"NoiseHead has sigma {self.sigma}", remedy="give 0 or more")

    def __call__(self, features, *, keys=None) -> Features:
        """Features whose pooled vectors (B, D) have noise of their own each; `keys` (B,) are in training."""
        pooled = features[self.stream].pooled
        if keys is not None:
            noise = jax.vmap(lambda key: jax.random.normal(key, pooled.shape[1:]))(keys)
            pooled = unit_norm(pooled + jnp.float32(self.sigma) * noise)
        return Features(pooled)
