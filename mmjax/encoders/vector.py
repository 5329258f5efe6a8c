"""Vectors as they are: the projection into the shared space is their encoder."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.features import Features
from mmjax.encoders.layers import DTYPES
from mmjax.encoders.options import check_choice
from mmjax.errors import UserError


class Vector(nn.Module):
    """Passes vectors (B, F) on: with a tower's projection, a linear or affine encoder of features or measurements.

    Attributes:
        dtype: dtype of activations, float32 or bfloat16; vectors stay float32.
    """

    dtype: str = "float32"

    def __post_init__(self):
        super().__post_init__()
        check_choice("Vector.dtype", self.dtype, DTYPES)

    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of vectors.

        Args:
            x: (B, F), floating.
            mask: unused: a vector has no padding.
            keys: unused: nothing is drawn.

        Raises:
            UserError: if x is no floating array of two axes.
        """
        check_vectors(self, x)
        return Features(x.astype(jnp.float32))


def check_vectors(encoder, x) -> None:
    """Raise `UserError` unless x is a floating array of two axes."""
    if x.ndim != 2 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise UserError(
            f"{type(encoder).__name__} cannot take {x.dtype} of shape {x.shape}",
            remedy="give floating vectors, (batch, width)",
        )
