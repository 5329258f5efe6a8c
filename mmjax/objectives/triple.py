"""Contrast across modalities, within each, and of wholes with parts, all against a momentum encoder (TCL)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.losses import local_contrastive, momentum_contrastive
from mmjax.losses.anchors import BLOCK
from mmjax.losses.masked import all_present
from mmjax.objectives.wiring import Scaled, vectors_of


class TripleContrastive(Scaled):
    """The mean of six terms (TCL, Yang et al. 2022, arXiv 2202.10401): each modality's anchors against the other's
    momentum embeddings with soft targets, against their own other view's, and against the parts of that view.

    Attributes:
        streams: the two batch streams, the anchors.
        views: the streams that the momentum encoder is shown, one for each: another picture, the same caption.
        teacher: the momentum encoder, a name in config.teachers.
        parts: heads of the two views whose tokens are the parts, patches and words; none: no such terms.
        weight: factor of this part in the training loss.
        across: weight of the two terms across modalities.
        within: weight of the two terms within a modality.
        local: weight of the two terms against parts, where there are any.
        queue: earlier embeddings of either view that are candidates too.
        alpha: weight of the momentum encoder's matching in the targets across modalities.
        alpha_steps: steps in which that weight grows from 0; 0: it is there at once.
        temperature: initial temperature of all terms, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        impl: dense, all similarities at once; blockwise, those of `block` anchors at a time.
        block: anchors of a tile.
    """

    streams: tuple[str, str] = ("image", "text")
    views: tuple[str, str] = ("image_2", "text")
    teacher: str = "ema"
    parts: tuple = ()
    weight: float = 1.0
    across: float = 1.0
    within: float = 1.0
    local: float = 1.0
    queue: int = 0
    alpha: float = 0.4
    alpha_steps: int = 0
    temperature: float = 0.07
    max_scale: float = 1000.0
    impl: str = "dense"
    block: int = BLOCK

    @property
    def named(self) -> dict:
        """Option -> the features that it names."""
        return {"streams": self.streams, "views": self._taught(self.views), "parts": self._taught(self.parts)}

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale, form = self.learned_scale(), {"impl": self.impl, "block": self.block}
        anchors, present = vectors_of(self.streams, features, batch)
        keys, _ = vectors_of(self._taught(self.views), features, batch)
        keys_present = [batch.get(f"{view}_present") for view in self.views]
        earlier, alpha = self._earlier(keys, keys_present, train), self._alpha(train)
        terms = {"across": [], "within": [], "local": []}
        for own, other in ((0, 1), (1, 0)):
            asked = {"x": anchors[own], "scale": scale, "x_present": present[own]}
            soft = {"momentum_x": keys[own], "alpha": alpha}
            terms["across"].append(
                momentum_contrastive(
                    keys=keys[other], keys_present=keys_present[other], **earlier[other], **soft, **asked, **form
                )
            )
            terms["within"].append(
                momentum_contrastive(keys=keys[own], keys_present=keys_present[own], **earlier[own], **asked, **form)
            )
            if self.parts:
                terms["local"].append(self._local(own, features, batch, asked, form))
        weights = {"across": self.across, "within": self.within, "local": self.local if self.parts else 0.0}
        total = 2 * sum(weights.values())
        if not total > 0:
            raise ValueError("no term has a weight: give across, within or local, the last with parts")
        loss = sum(weights[name] * value for name, values in terms.items() for value in values) / total
        metrics = {f"{name}_loss": sum(values) / 2 for name, values in terms.items() if values}
        return loss, {"contrastive_loss": loss, "logit_scale": scale, **metrics}

    def _taught(self, names) -> list[str]:
        return [f"{self.teacher}/{name}" for name in names]

    def _local(self, own: int, features, batch, asked, form):
        """The term of one modality's anchors against the momentum encoder's parts."""
        name = self._taught(self.parts)[own]
        if name not in features or features[name].tokens is None:
            remedy = "name two heads of kind 'tokens', such as ('image_tokens', 'text_tokens')"
            raise UserError(f"there are no tokens of {name!r}", where=f"objective {self.name}.parts", remedy=remedy)
        parts = features[name]
        real = jnp.ones(parts.tokens.shape[:2], bool) if parts.mask is None else parts.mask
        real = real & all_present(batch.get(f"{name}_present"), len(real))[:, None]
        return local_contrastive(tokens=parts.tokens, token_mask=real, **asked, **form)

    def _alpha(self, train: bool):
        """The weight of soft targets at this step."""
        if not self.alpha_steps:
            return self.alpha
        steps = self.variable("state", "steps", lambda: jnp.zeros((), jnp.int32))
        alpha = self.alpha * jnp.minimum(steps.value.astype(jnp.float32) / self.alpha_steps, 1.0)
        if train and not self.is_initializing():
            steps.value = steps.value + 1
        return alpha

    def _earlier(self, keys, present, train: bool) -> list[dict]:
        """Each view's earlier keys as arguments of the loss; in training this batch is put in front, for later ones."""
        if not self.queue:
            return [{}, {}]
        width = keys[0].shape[1]
        queue = self.variable("state", "queue", lambda: jnp.zeros((2, self.queue, width), jnp.float32))
        filled = self.variable("state", "queue_present", lambda: jnp.zeros((2, self.queue), bool))
        earlier = [{"queue": queue.value[i], "queue_present": filled.value[i]} for i in range(2)]
        if train and not self.is_initializing():
            here = [jnp.ones(len(k), bool) if p is None else p for k, p in zip(keys, present, strict=True)]
            new = jax.lax.stop_gradient(jnp.stack(keys))
            queue.value = jnp.concatenate([new, queue.value], axis=1)[:, : self.queue]
            filled.value = jnp.concatenate([jnp.stack(here), filled.value], axis=1)[:, : self.queue]
        return earlier
