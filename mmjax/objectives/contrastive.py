"""Two-stream contrastive objectives: a loss with its learned temperature and bias."""

import math

import flax.linen as nn
import jax.numpy as jnp

from mmjax.losses import sigmoid_contrastive, softmax_contrastive


def scale_limits(params, max_scale: float):
    """`params` with `logit_scale` clamped to [0, log max_scale], as open_clip does after every step."""
    return {**params, "logit_scale": jnp.clip(params["logit_scale"], 0.0, math.log(max_scale))}


class SoftmaxContrastive(nn.Module):
    """Symmetric InfoNCE with a learned temperature (CLIP, Radford et al. 2021, arXiv 2103.00020).

    Attributes:
        streams: the two batch streams that are contrasted.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        positives: batch key whose equal values are positives of each other; empty: only row i with row i.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    positives: str = ""

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        log_scale = self.param("logit_scale", nn.initializers.constant(-math.log(self.temperature)), ())
        scale = jnp.exp(log_scale)
        x, y = (features[s].pooled for s in self.streams)
        loss = softmax_contrastive(x, y, scale, ids=batch[self.positives] if self.positives else None)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}

    def after_update(self, params):
        """What holds for the parameters after every optimiser step: the scale within its limits."""
        return scale_limits(params, self.max_scale)


class SigmoidContrastive(nn.Module):
    """Pairwise sigmoid loss with learned temperature and bias (SigLIP, Zhai et al. 2023, arXiv 2303.15343).

    Attributes:
        streams: the two batch streams that are contrasted.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        bias: initial bias.
        max_scale: the learned scale stays between 1 and this.
        positives: batch key whose equal values are positives of each other; empty: only row i with row i.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    temperature: float = 0.1
    bias: float = -10.0
    max_scale: float = 100.0
    positives: str = ""

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        log_scale = self.param("logit_scale", nn.initializers.constant(-math.log(self.temperature)), ())
        bias = self.param("logit_bias", nn.initializers.constant(self.bias), ())
        scale = jnp.exp(log_scale)
        x, y = (features[s].pooled for s in self.streams)
        loss = sigmoid_contrastive(x, y, scale, bias, ids=batch[self.positives] if self.positives else None)
        return loss, {"contrastive_loss": loss, "logit_scale": scale, "logit_bias": bias}

    def after_update(self, params):
        """What holds for the parameters after every optimiser step: the scale within its limits."""
        return scale_limits(params, self.max_scale)
