"""Two-stream contrastive objectives: a loss with its learned temperature and bias."""

import flax.linen as nn

from mmjax.losses import (
    decoupled_contrastive,
    sigmoid_contrastive,
    softmax_contrastive,
    supervised_contrastive,
    weighted_contrastive,
)
from mmjax.objectives.wiring import Scaled, positive_ids, two_sides


class SoftmaxContrastive(Scaled):
    """Symmetric InfoNCE with a learned temperature (CLIP, Radford et al. 2021, arXiv 2103.00020).

    Attributes:
        streams: the two batch streams that are contrasted.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        positives: batch key whose equal values are positives of each other; empty: only row i with row i.
        direction: both; x_to_y or y_to_x: anchors in the first stream only, or in the second.
        label_smoothing: share of every target that is spread over all candidates.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    positives: str = ""
    direction: str = "both"
    label_smoothing: float = 0.0
    impl: str = "auto"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale, sides = self.learned_scale(), two_sides(self, features, batch)
        options = {"direction": self.direction, "label_smoothing": self.label_smoothing, "impl": self.impl}
        loss = softmax_contrastive(**sides, scale=scale, ids=positive_ids(self, batch), **options)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}


class SigmoidContrastive(Scaled):
    """Pairwise sigmoid loss with learned temperature and bias (SigLIP, Zhai et al. 2023, arXiv 2303.15343).

    Attributes:
        streams: the two batch streams that are contrasted.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        bias: initial bias.
        max_scale: the learned scale stays between 1 and this.
        positives: batch key whose equal values are positives of each other; empty: only row i with row i.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    temperature: float = 0.1
    bias: float = -10.0
    max_scale: float = 100.0
    positives: str = ""
    impl: str = "auto"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale, sides = self.learned_scale(), two_sides(self, features, batch)
        bias = self.param("logit_bias", nn.initializers.constant(self.bias), ())
        loss = sigmoid_contrastive(**sides, scale=scale, bias=bias, ids=positive_ids(self, batch), impl=self.impl)
        return loss, {"contrastive_loss": loss, "logit_scale": scale, "logit_bias": bias}


class SupervisedContrastive(Scaled):
    """SupCon over two streams whose rows are all anchors (Khosla et al. 2020, arXiv 2004.11362); NT-Xent without ids.

    Attributes:
        streams: the two batch streams, such as two views of an image.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        positives: batch key whose equal values are positives of each other; empty: only the other view.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, str] = ("image", "image_2")
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    positives: str = ""
    impl: str = "auto"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale, sides = self.learned_scale(), two_sides(self, features, batch)
        loss = supervised_contrastive(**sides, scale=scale, ids=positive_ids(self, batch), impl=self.impl)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}


class DecoupledContrastive(Scaled):
    """InfoNCE without the positive in its denominators (DCL, Yeh et al. 2022, arXiv 2110.06848).

    Attributes:
        streams: the two batch streams that are contrasted.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        within: whether rows of the anchor's own stream are candidates too, as in the paper.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    temperature: float = 0.1
    max_scale: float = 100.0
    within: bool = True
    impl: str = "auto"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale, sides = self.learned_scale(), two_sides(self, features, batch)
        loss = decoupled_contrastive(**sides, scale=scale, within=self.within, impl=self.impl)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}


class WeightedContrastive(Scaled):
    """Targets graded by likeness in the first stream (CWCL, Srinivasa et al. 2023, arXiv 2309.14580).

    Attributes:
        streams: the stream whose tower is frozen, and the stream that is aligned to it.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        sharpness: power of the weights (1 + cosine) / 2; 1 in the paper.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    sharpness: float = 1.0
    impl: str = "auto"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale, sides = self.learned_scale(), two_sides(self, features, batch)
        loss = weighted_contrastive(**sides, scale=scale, sharpness=self.sharpness, impl=self.impl)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}
