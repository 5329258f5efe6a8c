"""Vectors as they are, or through a residual multilayer perceptron, whose parameters `mmjax.encoders.mlp` lists."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.features import Features
from mmjax.encoders.layers import DTYPES
from mmjax.encoders.mlp import check_mlp, residual_mlp
from mmjax.encoders.options import check_choice
from mmjax.errors import UserError


class Vector(nn.Module):
    """Vectors (B, F) to `Features`: passed on, or by hidden layers.

    Passed on, they make a linear or affine encoder of features or measurements with the tower's projection.

    Attributes:
        hidden: hidden units of a residual MLP; 0: there is none, and none of the options below but dtype counts.
        depth: number of hidden layers, residual from the second on.
        act: gelu (exact), gelu_tanh or quick_gelu.
        norm: layer or rms.
        norm_eps: added to the mean square in norms.
        dropout: rate of zeros in the hidden units.
        dtype: dtype of activations, float32 or bfloat16; vectors that are passed on stay float32.
    """

    hidden: int = 0
    depth: int = 1
    act: str = "gelu"
    norm: str = "layer"
    norm_eps: float = 1e-6
    dropout: float = 0.0
    dtype: str = "float32"

    def __post_init__(self):
        super().__post_init__()
        check_choice("Vector.dtype", self.dtype, DTYPES)
        if self.hidden:
            check_mlp(self)

    @property
    def width(self) -> int:
        """What `residual_mlp` calls the hidden units."""
        return self.hidden

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of vectors.

        Args:
            x: (B, F), floating.
            mask: unused: a vector has no padding.
            keys: (B,) per-example keys in training, or None.

        Raises:
            UserError: if x is no floating array of two axes.
        """
        check_vectors(self, x)
        if not self.hidden:
            return Features(x.astype(jnp.float32))
        return Features(residual_mlp(self, x.astype(self.dtype), keys))


def check_vectors(encoder, x) -> None:
    """Raise `UserError` unless x is a floating array of two axes."""
    if x.ndim != 2 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise UserError(
            f"{type(encoder).__name__} cannot take {x.dtype} of shape {x.shape}",
            remedy="give floating vectors, (batch, width)",
        )
