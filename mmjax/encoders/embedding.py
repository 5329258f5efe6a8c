"""A residual multilayer perceptron on precomputed vectors, such as the embeddings of a frozen model.

Parameters: those of `PixelMLP`, the stem's inputs being the vector's numbers.
"""

import flax.linen as nn

from mmjax.encoders.features import Features
from mmjax.encoders.mlp import check_mlp, residual_mlp
from mmjax.encoders.vector import check_vectors


class EmbeddingMLP(nn.Module):
    """Residual MLP on vectors (B, F): x <- act(stem(x)), x <- x + act(hidden(norm(x))) for further layers, a norm.

    Attributes:
        width: hidden units.
        depth: number of hidden layers.
        act: gelu (exact), gelu_tanh or quick_gelu.
        norm: layer or rms.
        norm_eps: added to the mean square in norms.
        dropout: rate of zeros in the hidden units.
        dtype: dtype of activations, float32 or bfloat16.
    """

    width: int = 1024
    depth: int = 2
    act: str = "gelu"
    norm: str = "layer"
    norm_eps: float = 1e-6
    dropout: float = 0.0
    dtype: str = "float32"

    def __post_init__(self):
        super().__post_init__()
        check_mlp(self)

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
        return Features(residual_mlp(self, x.astype(self.dtype), keys))
