"""Projectors that belong to one objective: one for each of two modalities, shared by all their views."""

import flax.linen as nn

from mmjax.encoders.layers import Dense
from mmjax.encoders.norms import Norm


def projectors(module):
    """(x, y) -> (x, y) by the projectors of an objective with the fields `hidden`, `depth` and `width`."""
    if not module.hidden:
        return lambda vectors: vectors
    each = [Projector(module.hidden, module.depth, module.width, name=f"projector_{side}") for side in "xy"]
    return lambda vectors: [project(rows) for project, rows in zip(each, vectors, strict=True)]


class Projector(nn.Module):
    """Hidden layers and a linear one: rows (B, D) -> (B, width) float32, not normalised.

    Attributes:
        hidden: units of a hidden layer.
        depth: number of hidden layers.
        width: width of what comes out.
    """

    hidden: int
    depth: int
    width: int

    @nn.compact
    def __call__(self, x):
        """x (B, D) -> (B, width)."""
        for i in range(self.depth):
            x = nn.relu(Norm(name=f"norm_{i}")(Dense(self.hidden, name=f"hidden_{i}")(x)))
        return Dense(self.width, name="out")(x)
