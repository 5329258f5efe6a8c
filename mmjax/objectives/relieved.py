"""InfoNCE with less repulsion, which closes the gap between modalities (CMA)."""

import flax.linen as nn

from mmjax.losses import relieved_contrastive
from mmjax.objectives.wiring import Scaled, two_sides


class RelievedContrastive(Scaled):
    """InfoNCE less a share of its log-partitions (CMA, Kim & Hwang 2025, arXiv 2503.18817).

    Attributes:
        streams: the two batch streams that are contrasted.
        weight: factor of this part in the training loss.
        relief: the share, the paper's lambda; at 1 nothing repels and everything collapses.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    relief: float = 0.5
    temperature: float = 0.07
    max_scale: float = 100.0
    impl: str = "auto"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale = self.learned_scale()
        sides = two_sides(self, features, batch)
        loss = relieved_contrastive(**sides, scale=scale, relief=self.relief, impl=self.impl)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}
