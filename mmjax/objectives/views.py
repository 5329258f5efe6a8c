"""Terms over pairs of views, each the mean over a list of pairs of streams: several crops against several captions.

They are the parts of the methods of Fini et al. 2023 (arXiv 2305.08675): contrastive, redundancy reduction, prediction
of a target, swapped matching.
"""

import flax.linen as nn

from mmjax.encoders.norms import unit_norm
from mmjax.losses import barlow_twins, byol, softmax_contrastive, swapped_matching, vicreg
from mmjax.objectives.projectors import projectors
from mmjax.objectives.wiring import Scaled, vectors_of


class Paired:
    """An objective whose option `pairs` holds tuples of streams."""

    @property
    def named(self) -> dict:
        """Option -> the features that it names."""
        return {"pairs": [stream for streams in self.pairs for stream in streams]}


class CrossViews(Paired, Scaled):
    """InfoNCE between views, mean over pairs of streams that share one learned temperature (CLIP-Rocket's CL2L).

    Attributes:
        pairs: (stream, stream) of each pair, such as every crop with every caption.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        label_smoothing: share of every target that is spread over all candidates.
        hidden: units of the hidden layers of a projector that each modality has for this loss alone, as that of
            `RedundancyReduction`; 0: there is none, and the streams count as they are.
        depth: hidden layers of a projector.
        width: what a projector gives.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    pairs: tuple
    weight: float = 1.0
    temperature: float = 0.1
    max_scale: float = 100.0
    label_smoothing: float = 0.1
    hidden: int = 0
    depth: int = 2
    width: int = 512
    impl: str = "auto"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale, options = self.learned_scale(), {"label_smoothing": self.label_smoothing, "impl": self.impl}
        project = projectors(self)

        def loss(vectors, present):
            x, y = map(unit_norm, project(vectors))
            return softmax_contrastive(x, y, scale, x_present=present[0], y_present=present[1], **options)

        loss = mean_over(self.pairs, loss, features, batch)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}


class RedundancyReduction(Paired, nn.Module):
    """Statistics of two modalities' dimensions over the batch: Barlow Twins (BarLIP), or VICReg, across modalities.

    Each modality has a projector of its own, whose rows are not of unit norm: hidden layers of product, layer norm and
    relu, then a linear layer.

    Attributes:
        pairs: (stream, stream) of each pair, the first of one modality, the second of the other.
        weight: factor of this part in the training loss.
        form: barlow_twins, the cross-correlation to the identity; vicreg.
        redundancy: of barlow_twins, weight of the entries off the diagonal.
        terms: of vicreg, weights of invariance, variance and covariance.
        hidden: units of the projectors' hidden layers; 0: there are none, and the streams count as they are.
        depth: hidden layers of a projector.
        width: what a projector gives.
    """

    pairs: tuple
    weight: float = 0.025
    form: str = "barlow_twins"
    redundancy: float = 5e-3
    terms: tuple = (25.0, 25.0, 1.0)
    hidden: int = 512
    depth: int = 2
    width: int = 512

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of pooled (B, D)) on a batch."""
        if self.form not in ("barlow_twins", "vicreg"):
            raise ValueError(f"unknown form {self.form!r}: barlow_twins or vicreg")
        project = projectors(self)

        def loss(vectors, present):
            x, y = project(vectors)
            there = {"x_present": present[0], "y_present": present[1]}
            if self.form == "barlow_twins":
                return barlow_twins(x, y, weight=self.redundancy, **there)
            return vicreg(x, y, **dict(zip(("invariance", "variance", "covariance"), self.terms, strict=True)), **there)

        loss = mean_over(self.pairs, loss, features, batch)
        return loss, {"redundancy_loss": loss}


class Prediction(Paired, nn.Module):
    """Squared distance of predictions to targets without gradient (SiamLIP; BYOLIP with targets of a moving average).

    With both directions among the pairs it is 2 + 2 L for SimSiam's L (Chen & He 2021, arXiv 2011.10566, equation 2).

    Attributes:
        pairs: (prediction, target) streams; a target may be a teacher's, such as "ema/text".
        weight: factor of this part in the training loss.
    """

    pairs: tuple
    weight: float = 1.0

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of pooled (B, D)) on a batch."""

        def loss(vectors, present):
            return byol(*vectors, present=all_of(present))

        loss = mean_over(self.pairs, loss, features, batch)
        return loss, {"prediction_loss": loss}


class SwappedMatching(Paired, Scaled):
    """Two views predict how two others match the batch, evened out by Sinkhorn (SwALIP).

    Attributes:
        pairs: (x, y, other x, other y) streams of each term.
        weight: factor of this part in the training loss.
        temperature: initial temperature of the predictions, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        epsilon: smoothness of the assignments.
        iterations: rounds of Sinkhorn's normalisations.
        impl: dense, all similarities at once; blockwise, those of a few hundred samples at a time.
    """

    pairs: tuple
    weight: float = 0.2
    temperature: float = 0.1
    max_scale: float = 100.0
    epsilon: float = 0.05
    iterations: int = 3
    impl: str = "dense"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        options = {"epsilon": self.epsilon, "iterations": self.iterations, "impl": self.impl}
        scale = self.learned_scale()

        def loss(vectors, present):
            return swapped_matching(*vectors, scale, present=all_of(present), **options)

        loss = mean_over(self.pairs, loss, features, batch)
        return loss, {"matching_loss": loss, "logit_scale": scale}


def mean_over(pairs, loss, features, batch):
    """() mean of `loss(vectors, present)` over lists of streams.

    Raises:
        ValueError: if there are none, or the batch lacks a stream.
    """
    if not pairs:
        raise ValueError("pairs is empty: give the streams of at least one term, such as (('image_2', 'text_2'),)")
    return sum(loss(*vectors_of(streams, features, batch)) for streams in pairs) / len(pairs)


def all_of(present):
    """(B,) bool, where all of several presences (B,) hold; None where none is given."""
    given = [p for p in present if p is not None]
    whole = given[0] if given else None
    for there in given[1:]:
        whole = whole & there
    return whole
