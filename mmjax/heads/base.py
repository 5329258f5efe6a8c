"""What every head is."""

import flax.linen as nn

from mmjax.encoders.features import Features
from mmjax.errors import UserError


class Head(nn.Module):
    """Features by name -> `Features` of the head, `pooled` (B, D) float32 of unit norm.

    Attributes:
        embed_dim: width of the shared space, which the model fills in.
    """

    embed_dim: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the features that it takes."""
        raise NotImplementedError

    def __call__(self, features: dict[str, Features], *, keys=None) -> Features:
        """The head's features; `keys` (B,) are per-example keys in training, or None."""
        raise NotImplementedError


class StreamHead(Head):
    """A head of one stream.

    Attributes:
        stream: the stream, or other head, whose features it takes.
    """

    stream: str = ""

    @property
    def reads(self):
        """Its stream."""
        return (self.stream,)


def tokens_of(head: StreamHead, features: dict[str, Features]) -> Features:
    """The features that `head` takes; UserError if they have no tokens."""
    taken = features[head.stream]
    if taken.tokens is None:
        raise UserError(
            f"the tower of {head.stream!r} makes no tokens",
            where=f"config.heads.{head.name.removesuffix('_head')}",
            remedy="use a tower such as vit, text or series",
        )
    return taken
