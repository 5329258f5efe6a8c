"""Alignment and uniformity of two streams as terms of the training loss."""

import flax.linen as nn

from mmjax.losses import alignment, cross_uniformity, uniformity
from mmjax.objectives.wiring import two_sides


class Geometry(nn.Module):
    """Pairs near one another, each modality spread over the sphere (Fahim et al. 2024, arXiv 2405.18570).

    The paper adds it to CLIP's loss to close the modality gap: weights 1, 1, 0 make its L_CUA, 1, 1, 1 its L_CUAXU.

    Attributes:
        streams: the two batch streams.
        weight: factor of this part in the training loss.
        alignment: weight of the mean squared distance of pairs.
        uniformity: weight of the mean of both streams' uniformity.
        cross_uniformity: weight of the uniformity between rows of either stream that are no pair.
        t: width of the Gaussian potential.
        impl: dense, all distances at once; blockwise, those of a few hundred rows at a time.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    alignment: float = 1.0
    uniformity: float = 1.0
    cross_uniformity: float = 0.0
    t: float = 2.0
    impl: str = "dense"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        sides, options = two_sides(self, features, batch), {"t": self.t, "impl": self.impl}
        terms = {}
        if self.alignment:
            terms["alignment"] = self.alignment, alignment(**sides)
        if self.uniformity:
            spread = [uniformity(sides[s], present=sides[f"{s}_present"], **options) for s in ("x", "y")]
            terms["uniformity"] = self.uniformity, sum(spread) / 2
        if self.cross_uniformity:
            terms["cross_uniformity"] = self.cross_uniformity, cross_uniformity(**sides, **options)
        loss = sum(weight * value for weight, value in terms.values())
        return loss, {name: value for name, (_, value) in terms.items()}
