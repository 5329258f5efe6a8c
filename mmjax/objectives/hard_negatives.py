"""Contrast with captions that are wrong on purpose."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.losses import softmax_contrastive
from mmjax.objectives.wiring import Scaled, two_sides, vectors_of


class HardNegatives(Scaled):
    """Symmetric InfoNCE in which an anchor of the first stream meets wrong captions of its own besides.

    CompA (Ghosh et al. 2023, arXiv 2310.08753, section 3.3): captions with their events in another order are candidates
    of their own sound and of no other. With `teachers`, RCAD's softer form (Ma et al. 2024, arXiv 2407.13094): a wrong
    caption is partly right, as far as a language model holds it alike, and is target with weight
    exp((t . t_k - 1) / teacher_temperature) beside 1 for the true one.

    Attributes:
        streams: the described stream and the text stream.
        weight: factor of this part in the training loss.
        negatives: text streams of the wrong captions; a sample may lack some.
        teachers: names of the features that say how alike captions are: of the true one, and of each of `negatives`,
            such as ("frozen/text", "frozen/text_2") or ("vector", "vector_2"); none: wrong is wrong.
        teacher_temperature: of the teacher's likeness.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        label_smoothing: share of every target that is spread over all candidates.
        impl: form of the loss: dense, blockwise, ring, or auto by the memory that dense would take.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    negatives: tuple = ("text_2",)
    teachers: tuple = ()
    teacher_temperature: float = 0.1
    temperature: float = 0.07
    max_scale: float = 100.0
    label_smoothing: float = 0.0
    impl: str = "auto"

    @property
    def named(self) -> dict:
        """Option -> the features that it names."""
        return {"streams": self.streams, "negatives": self.negatives, "teachers": self.teachers}

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale, sides = self.learned_scale(), two_sides(self, features, batch)
        vectors, present = vectors_of(self.negatives, features, batch)
        present = [jnp.ones(len(v), bool) if p is None else p for v, p in zip(vectors, present, strict=True)]
        hard = {"hard_negatives": jnp.stack(vectors, 1), "hard_present": jnp.stack(present, 1)}
        options = {"label_smoothing": self.label_smoothing, "impl": self.impl}
        loss = softmax_contrastive(**sides, scale=scale, **hard, hard_targets=self._targets(features, batch), **options)
        return loss, {"contrastive_loss": loss, "logit_scale": scale}

    def _targets(self, features, batch):
        """(B, K) target weights of the wrong captions, or None."""
        if not self.teachers:
            return None
        if len(self.teachers) != 1 + len(self.negatives):
            raise ValueError(f"{len(self.teachers)} teachers for a caption and {len(self.negatives)} wrong ones")
        true, *wrong = (jax.lax.stop_gradient(v) for v in vectors_of(self.teachers, features, batch)[0])
        alike = jnp.stack([jnp.sum(true * w, axis=1) for w in wrong], 1)
        return jnp.exp((alike - 1) / self.teacher_temperature)
