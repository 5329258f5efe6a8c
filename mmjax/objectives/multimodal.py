"""Objectives over any number of streams: products of all, volumes, pairs, and views with one term a sample."""

import functools
import itertools

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.options import check_choice
from mmjax.errors import UserError
from mmjax.losses import (
    gram_contrastive,
    mv_dhel,
    mv_infonce,
    pair_losses,
    sigmoid_contrastive,
    softmax_contrastive,
    symile,
)
from mmjax.losses.anchors import BLOCK
from mmjax.losses.masked import all_present
from mmjax.objectives.wiring import Scaled, vectors_of

PAIR_LOSSES = {"softmax": softmax_contrastive, "sigmoid": sigmoid_contrastive}
VIEW_LOSSES = {"mv_infonce": mv_infonce, "mv_dhel": mv_dhel}


class Symile(Scaled):
    """Contrast of all streams together by products over them (Symile, Saporta et al. 2024, arXiv 2411.01053).

    Attributes:
        streams: two or more batch streams.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this; products of unit vectors are smaller than cosines.
        negatives: n, one shuffle of every other stream at every step; n_squared, all products.
        impl: dense, all logits at once; blockwise, those of `block` anchors at a time.
        block: anchors of a tile.
    """

    streams: tuple[str, ...]
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 10000.0
    negatives: str = "n"
    impl: str = "dense"
    block: int = BLOCK

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch.

        Shuffles come from the rng "objective", which the training step draws from (seed, step).
        """
        scale = self.learned_scale()
        vectors, present = vectors_of(self.streams, features, batch)
        key = self.make_rng("objective") if self.negatives == "n" else None
        loss = symile(
            vectors, scale, negatives=self.negatives, key=key, present=present, impl=self.impl, block=self.block
        )
        return loss, {"contrastive_loss": loss, "logit_scale": scale}


class Gram(Scaled):
    """Contrast of the first stream with tuples of all others by volume (GRAM, Cicchetti et al. 2024, arXiv 2412.11959).

    Attributes:
        streams: two or more batch streams; the first is the anchor.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        label_smoothing: share of every target that is spread over all candidates.
        impl: dense, all volumes at once; blockwise, those of `block` anchors at a time.
        block: anchors of a tile.
    """

    streams: tuple[str, ...]
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    label_smoothing: float = 0.1
    impl: str = "dense"
    block: int = BLOCK

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale = self.learned_scale()
        (anchor, *others), present = vectors_of(self.streams, features, batch)
        smoothing = {"label_smoothing": self.label_smoothing}
        loss = gram_contrastive(anchor, others, scale, **smoothing, present=present, impl=self.impl, block=self.block)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}


class Pairwise(Scaled):
    """A two-stream loss over several pairs of streams, each pair with its own learned scale.

    Pairs of one stream with each other one are ImageBind's objective (Girdhar et al. 2023, arXiv 2305.05665).

    Attributes:
        streams: two or more batch streams.
        weight: factor of this part in the training loss.
        pairs: (stream, stream) of each pair; empty: all pairs of the streams.
        pair_weights: factor of each pair's loss; empty: 1 each.
        loss: softmax or sigmoid.
        temperature: initial temperature of every pair, 1/scale.
        bias: initial bias of every pair, for sigmoid.
        max_scale: the learned scales stay between 1 and this.
        label_smoothing: share of every target that is spread over all candidates, for softmax.
        impl: form of the loss: dense, blockwise, ring or auto.
    """

    streams: tuple[str, ...]
    weight: float = 1.0
    pairs: tuple = ()
    pair_weights: tuple = ()
    loss: str = "softmax"
    temperature: float = 0.07
    bias: float = -10.0
    max_scale: float = 100.0
    label_smoothing: float = 0.0
    impl: str = "dense"

    @property
    def named(self) -> dict:
        """Option -> the features that it names."""
        return {"streams": self.streams, "pairs": [stream for pair in self.pairs for stream in pair]}

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        pairs = self._pairs()
        vectors, present = (dict(zip(self.streams, v, strict=True)) for v in vectors_of(self.streams, features, batch))
        scales = self.learned_scale((len(pairs),))
        options, parameters = {"impl": self.impl}, [scales]
        if self.loss == "sigmoid":
            parameters.append(self.param("logit_bias", nn.initializers.constant(self.bias), (len(pairs),)))
        else:
            options["label_smoothing"] = self.label_smoothing
        loss = functools.partial(PAIR_LOSSES[self.loss], **options)
        losses = pair_losses(vectors, pairs, loss, *parameters, present=present)
        total = sum(w * value for w, value in zip(self.pair_weights or [1.0] * len(pairs), losses, strict=True))
        metrics = {"contrastive_loss": total}
        for k, (a, b) in enumerate(pairs):
            metrics |= {f"{a}_{b}_loss": losses[k], f"{a}_{b}_logit_scale": scales[k]}
            if self.loss == "sigmoid":
                metrics[f"{a}_{b}_logit_bias"] = parameters[1][k]
        return total, metrics

    def _pairs(self) -> tuple:
        """The pairs of streams; raises UserError for options that do not fit."""
        where = "objective pairwise"
        check_choice(f"{where}.loss", self.loss, PAIR_LOSSES)
        pairs = self.pairs or tuple(itertools.combinations(self.streams, 2))
        for pair in pairs:
            if len(pair) != 2 or not set(pair) <= set(self.streams):
                remedy = f"streams here: {', '.join(self.streams)}"
                raise UserError(f"{pair!r} is not a pair of streams", where=f"{where}.pairs", remedy=remedy)
        if self.pair_weights and len(self.pair_weights) != len(pairs):
            said = f"{len(self.pair_weights)} weights for {len(pairs)} pairs"
            raise UserError(said, where=f"{where}.pair_weights", remedy="give one for each pair, or none")
        if self.label_smoothing and self.loss == "sigmoid":
            said = "the sigmoid loss has no target to smooth"
            raise UserError(said, where=f"{where}.label_smoothing", remedy="leave it at 0, or use loss='softmax'")
        return pairs


class OneToK(Scaled):
    """One stream against K others at once, such as a picture and its captions in K languages (Nie et al. 2024).

    1-to-K contrastive learning (arXiv 2406.18254): every anchor has K positives among the B K rows of all other
    streams, which it is to find evenly; every one of those rows finds its anchor. A stream that a sample lacks is no
    positive and no candidate.

    Attributes:
        streams: the anchors' stream, and then one or more others.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, ...]
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    impl: str = "auto"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        if len(self.streams) < 2:
            said = f"{len(self.streams)} streams"
            raise UserError(said, where="objective one_to_k.streams", remedy="name the anchor's and one or more others")
        scale = self.learned_scale()
        (x, *others), (x_present, *present) = vectors_of(self.streams, features, batch)
        y_present = jnp.stack([all_present(there, len(x)) for there in present], axis=1)
        options = {"x_present": x_present, "y_present": y_present, "impl": self.impl}
        loss = softmax_contrastive(x, jnp.stack(others, axis=1), scale, **options)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}


class MultiView(Scaled):
    """All pairs of a sample's streams in one term (MV-InfoNCE and MV-DHEL, Koromilas et al. 2025, arXiv 2507.06979).

    Attributes:
        streams: two or more batch streams, views of one modality or several modalities.
        weight: factor of this part in the training loss.
        form: mv_infonce; mv_dhel, which spreads each stream by itself.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        impl: dense, all logits at once; blockwise, those of `block` samples at a time.
        block: samples of a tile.
    """

    streams: tuple[str, ...]
    weight: float = 1.0
    form: str = "mv_infonce"
    temperature: float = 0.5
    max_scale: float = 100.0
    impl: str = "dense"
    block: int = BLOCK

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        check_choice("objective multiview.form", self.form, VIEW_LOSSES)
        scale = self.learned_scale()
        vectors, present = vectors_of(self.streams, features, batch)
        loss = VIEW_LOSSES[self.form](vectors, scale, present=present, impl=self.impl, block=self.block)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}
