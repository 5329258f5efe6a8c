"""Contrast with all examples of the source by running estimates of every denominator: SogCLR, iSogCLR, FastCLIP."""

import math

import flax.linen as nn
import jax.numpy as jnp

from mmjax.losses import global_contrastive
from mmjax.objectives.examples import example_state, write_examples
from mmjax.objectives.wiring import Scaled, two_sides


class Running(nn.Module):
    """What the three share: the estimates u of either stream's anchors and the share gamma of the new in them.

    Attributes:
        streams: the two batch streams that are contrasted.
        weight: factor of this part in the training loss.
        gamma: share of the new estimate, in (0, 1]; an example's first counts whole.
        gamma_steps: steps in which the share falls from 1 to gamma along half a cosine (FastCLIP); 0: gamma always.
        examples: samples of the source; filled in when a run is built.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    gamma: float = 0.8
    gamma_steps: int = 0
    examples: int = 0
    impl: str = "auto"

    def contrast(self, features, batch, x_temperature, y_temperature, *, rho: float, train: bool):
        """(loss, `Anchors` of the first stream, of the second) on a batch; remembers the new estimates in training."""
        estimates, ids = example_state(self, "log_u", -jnp.inf, 2), batch["id"]
        old, sides = estimates.value[ids], two_sides(self, features, batch)
        gamma = self._gamma(train)
        running = {"x_log_u": old[:, 0], "y_log_u": old[:, 1], "gamma": gamma, "rho": rho}
        loss, *anchors = global_contrastive(
            **sides, x_temperature=x_temperature, y_temperature=y_temperature, **running, impl=self.impl
        )
        if train and not self.is_initializing():
            write_examples(estimates, ids, *_columns(anchors, "log_u"))
        return loss, *anchors

    def _gamma(self, train: bool):
        """The share of the new estimate at this step, one further in training."""
        if not self.gamma_steps:
            return self.gamma
        steps = self.variable("state", "steps", lambda: jnp.zeros((), jnp.int32))
        progress = jnp.minimum(steps.value.astype(jnp.float32) / self.gamma_steps, 1.0)
        if train and not self.is_initializing():
            steps.value = steps.value + 1
        return self.gamma + (1 - self.gamma) * (1 + jnp.cos(math.pi * progress)) / 2


class SogCLR(Running):
    """Global contrastive loss at one fixed temperature (SogCLR, Yuan et al. 2022, arXiv 2202.12387).

    With gamma_steps it is FastCLIP-v1 (Wei et al. 2024, arXiv 2407.01445).

    Attributes:
        temperature: the temperature.
    """

    temperature: float = 0.07

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        tau = jnp.float32(self.temperature)
        loss, *_ = self.contrast(features, batch, tau, tau, rho=0.0, train=train)
        return loss, {"contrastive_loss": loss}


class ISogCLR(Running):
    """Global contrastive loss with a temperature for every example (iSogCLR, Qiu et al. 2023, arXiv 2305.11965, RGCL).

    A temperature settles where the KL divergence of its weights over negatives from the even ones is rho. That is at
    most log(batch_size - 1): with a larger rho all temperatures fall to their least value. With gamma_steps it is
    FastCLIP-v2.

    Attributes:
        temperature: every temperature at first.
        least: the least temperature.
        largest: the largest.
        rho: weight of the temperatures in the loss.
        rate: step of a temperature along its slope.
        momentum: share of the new slope in the one that is followed.
        clip: largest slope that is taken.
    """

    temperature: float = 0.07
    least: float = 0.005
    largest: float = 1.0
    rho: float = 6.0
    rate: float = 0.01
    momentum: float = 0.9
    clip: float = 5.0

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        temperatures = example_state(self, "temperature", self.temperature, 2)
        slopes, ids = example_state(self, "slope", 0.0, 2), batch["id"]
        tau = temperatures.value[ids]
        loss, *anchors = self.contrast(features, batch, tau[:, 0], tau[:, 1], rho=self.rho, train=train)
        if train and not self.is_initializing():
            slope, valid = _columns(anchors, "slope")
            new = jnp.clip(slope, -self.clip, self.clip)
            slope = slopes.value[ids] + self.momentum * (new - slopes.value[ids])
            write_examples(slopes, ids, slope, valid)
            write_examples(temperatures, ids, jnp.clip(tau - self.rate * slope, self.least, self.largest), valid)
        return loss, {"contrastive_loss": loss, "temperature": jnp.mean(tau)}


class FastCLIP(Running, Scaled):
    """Global contrastive loss with one learned temperature (FastCLIP-v3, Wei et al. 2024, arXiv 2407.01445, RGCL-g).

    Attributes:
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        rho: weight of the temperature in the loss.
    """

    temperature: float = 0.07
    max_scale: float = 100.0
    rho: float = 6.5

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale = self.learned_scale()
        loss, *_ = self.contrast(features, batch, 1 / scale, 1 / scale, rho=self.rho, train=train)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}


def _columns(anchors, name: str):
    """(B, 2) of a field of the anchors of both streams, and whether each counts."""
    return tuple(jnp.stack([getattr(a, field) for a in anchors], axis=1) for field in (name, "valid"))
