"""Two spaces mixed by a share."""

from mmjax.encoders.features import Features
from mmjax.encoders.norms import unit_norm
from mmjax.errors import UserError
from mmjax.heads.base import Head


class BlendHead(Head):
    """(1 - share) times the pooled features of one stream plus `share` times those of another, of unit norm.

    A slider between two spaces that were trained for different ends (Control-MVR, 2024, arXiv 2412.05831). It learns
    nothing.

    Attributes:
        streams: the names of the two features, as wide as one another.
        share: of the second, from 0 to 1.
    """

    streams: tuple = ()
    share: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.share <= 1:
            raise UserError(f"BlendHead.share is {self.share}", remedy="give a share from 0 to 1")
        if self.streams and len(self.streams) != 2:
            raise UserError(f"BlendHead has {len(self.streams)} streams", remedy="name two")

    @property
    def reads(self):
        """The names of the two features."""
        return tuple(self.streams)

    def __call__(self, features, *, keys=None) -> Features:
        """Features whose pooled vectors (B, D) are of unit norm."""
        first, second = (features[name].pooled for name in self.streams)
        return Features(unit_norm((1 - self.share) * first + self.share * second))
