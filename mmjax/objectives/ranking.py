"""Two streams by the hinge of a margin."""

import flax.linen as nn

from mmjax.losses import hinge_contrastive
from mmjax.objectives.wiring import positive_ids, two_sides


class HingeContrastive(nn.Module):
    """Every pair above its negatives by a margin (VSE++, Faghri et al. 2018, arXiv 1707.05612; batch hinge).

    Attributes:
        streams: the two batch streams that are contrasted.
        weight: factor of this part in the training loss.
        margin: by how much a pair's cosine shall exceed a negative's.
        negatives: sum over all negatives, or the hardest alone.
        direction: both; x_to_y or y_to_x: anchors in the first stream only, negatives in the second, or the reverse.
        positives: batch key whose equal values are no negatives of each other; empty: all rows are.
        impl: dense, all similarities at once; blockwise, those of a few hundred anchors at a time.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    margin: float = 0.2
    negatives: str = "sum"
    direction: str = "both"
    positives: str = ""
    impl: str = "dense"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        options = {"negatives": self.negatives, "direction": self.direction, "impl": self.impl}
        sides, ids = two_sides(self, features, batch), positive_ids(self, batch)
        loss = hinge_contrastive(**sides, margin=self.margin, ids=ids, **options)
        return loss, {"contrastive_loss": loss}
