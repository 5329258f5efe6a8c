"""DreamLIP: many sentences an image, each matched with the image and with the patches that it speaks of."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.losses import softmax_contrastive
from mmjax.losses.masked import all_present, only_present
from mmjax.losses.tokens_groups import sentence_groups
from mmjax.objectives.wiring import Scaled, vectors_of


class DreamLIP(Scaled):
    """Contrast of an image with K sentences, and of the patches grouped for each sentence with all sentences.

    L = 1/K sum_k InfoNCE(image, text_k) + grouping InfoNCE({g_ik}, {t_ik}) over all B K pairs (DreamLIP, Zheng et al.
    2024, arXiv 2403.17007, equations 2 to 6). Sentences are streams such as text, text_2, ... with `sentences=1`.

    Attributes:
        streams: the image's stream, then those of its sentences.
        tokens: the head whose tokens are the image's patches in the shared space.
        weight: factor of this part in the training loss.
        temperature: initial temperature of both parts, 1/scale; each learns its own.
        max_scale: the learned scales stay between 1 and this.
        grouping: weight of the sentences' contrast with their patches; 0 leaves it out.
        threshold: stretched cosines below it are set to 0, from 0 to 1; below 0: 1 / patches, as in the paper.
        impl: form of the losses: dense, blockwise, ring or auto.
    """

    streams: tuple[str, ...] = ("image", "text")
    tokens: str = "image_tokens"
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    grouping: float = 1.0
    threshold: float = -1.0
    impl: str = "auto"

    @property
    def named(self) -> dict:
        """Option -> the features that it names."""
        return {"streams": self.streams, "tokens": (self.tokens,)}

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scales = self.learned_scale((2,))
        (image, *sentences), (here, *there) = vectors_of(self.streams, features, batch)
        options = {"x_present": here, "impl": self.impl}
        losses = [
            softmax_contrastive(image, text, scales[0], y_present=p, **options)
            for text, p in zip(sentences, there, strict=True)
        ]
        whole = sum(losses) / len(losses)
        metrics = {"contrastive_loss": whole, "logit_scale": scales[0]}
        if not self.grouping:
            return whole, metrics
        groups, texts, present = self._groups(features, sentences, here, there)
        fine = softmax_contrastive(groups, texts, scales[1], x_present=present, y_present=present, impl=self.impl)
        return whole + self.grouping * fine, metrics | {"grouping_loss": fine, "grouping_scale": scales[1]}

    def _groups(self, features, sentences, here, there):
        """(B K, D) groups and sentences, and which are there, (B K,) bool."""
        patches = features.get(self.tokens)
        if patches is None or patches.tokens is None:
            remedy = 'add config.heads.image_tokens = c.head("tokens", stream="image")'
            raise UserError(f"{self.tokens!r} has no tokens", where="objective dreamlip.tokens", remedy=remedy)
        rows = len(patches.tokens)
        texts = jnp.stack([only_present(text, p) for text, p in zip(sentences, there, strict=True)], axis=1)
        tokens = only_present(patches.tokens, here)
        groups = sentence_groups(tokens, patches.mask, texts, threshold=None if self.threshold < 0 else self.threshold)
        present = jnp.stack([all_present(p, rows) & all_present(here, rows) for p in there], axis=1)
        return groups.reshape(-1, groups.shape[-1]), texts.reshape(-1, texts.shape[-1]), present.reshape(-1)
