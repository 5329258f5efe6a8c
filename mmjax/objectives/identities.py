"""Two streams whose rows have labels: identities that several rows share, labels that are embedded themselves."""

import flax.linen as nn

from mmjax.losses import input_label_contrastive, similarity_distribution_matching
from mmjax.objectives.wiring import Scaled, positive_ids, two_sides


class DistributionMatching(nn.Module):
    """Reverse KL from similarities to equal identities (SDM of IRRA, Jiang & Ye 2023, arXiv 2303.12501, section 3.3).

    Attributes:
        streams: the two batch streams that are matched.
        weight: factor of this part in the training loss.
        temperature: 1/scale, which is not learned.
        positives: batch key whose equal values are one identity; empty: every row is its own.
        eps: keeps the logarithm finite; a wrong match costs at most -log(eps).
        impl: dense, all similarities at once; blockwise, those of a few hundred anchors at a time.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    temperature: float = 0.02
    positives: str = "label"
    eps: float = 1e-8
    impl: str = "dense"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        options = {"ids": positive_ids(self, batch), "eps": self.eps, "impl": self.impl}
        loss = similarity_distribution_matching(
            **two_sides(self, features, batch), scale=1 / self.temperature, **options
        )
        return loss, {"contrastive_loss": loss}


class InputLabel(Scaled):
    """Inputs against the different labels of the batch (Rethmeier & Augenstein 2021, arXiv 2102.12982).

    Attributes:
        streams: the stream of inputs, and the stream that holds each input's label.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        positives: batch key that is equal for equal labels.
        label_smoothing: share of every target that is spread over all labels of the batch.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    positives: str = "label"
    label_smoothing: float = 0.0
    impl: str = "auto"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale, options = self.learned_scale(), {"label_smoothing": self.label_smoothing, "impl": self.impl}
        labels = positive_ids(self, batch)
        loss = input_label_contrastive(**two_sides(self, features, batch), labels=labels, scale=scale, **options)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}
