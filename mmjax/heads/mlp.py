"""A multilayer perceptron on pooled features: projectors, predictors, bridges from one space to another."""

import flax.linen as nn

from mmjax.encoders.activations import ACTIVATIONS
from mmjax.encoders.features import Features
from mmjax.encoders.layers import Dense
from mmjax.encoders.norms import Norm, unit_norm
from mmjax.encoders.options import check_choice
from mmjax.errors import UserError
from mmjax.heads.base import StreamHead

NORMS = ("none", "layer", "rms")


class MLPHead(StreamHead):
    """Hidden layers, each a product, a norm and an activation, then a linear layer, then unit norm.

    Attributes:
        stream: the stream, or other head, whose pooled features it takes.
        hidden: units of a hidden layer.
        depth: number of hidden layers; 0: the linear layer alone.
        width: width of what comes out; 0: embed_dim.
        act: gelu, gelu_tanh, quick_gelu or relu.
        norm: of hidden layers: layer, rms or none.
    """

    hidden: int = 512
    depth: int = 1
    width: int = 0
    act: str = "relu"
    norm: str = "layer"

    def __post_init__(self):
        super().__post_init__()
        check_choice("MLPHead.act", self.act, {*ACTIVATIONS, "relu"} - {"swiglu"})
        check_choice("MLPHead.norm", self.norm, NORMS)
        if self.hidden < 1 or self.depth < 0 or self.width < 0:
            raise UserError(
                f"MLPHead has hidden {self.hidden}, depth {self.depth}, width {self.width}",
                remedy="give hidden of at least 1, depth and width of at least 0",
            )

    @nn.compact
    def __call__(self, features, *, keys=None) -> Features:
        """Features whose pooled vectors (B, width or embed_dim) are of unit norm."""
        act = nn.relu if self.act == "relu" else ACTIVATIONS[self.act]
        x = features[self.stream].pooled
        for i in range(self.depth):
            x = Dense(self.hidden, name=f"hidden_{i}")(x)
            x = act(x if self.norm == "none" else Norm(self.norm, 1e-6, "float32", name=f"norm_{i}")(x))
        return Features(unit_norm(Dense(self.width or self.embed_dim, name="out")(x)))
