"""Training on pairs of which many are wrong: they are found by their loss, and given another pair's caption (PC2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.losses import noisy_hinge
from mmjax.losses.anchors import BLOCK, over_anchors
from mmjax.losses.logits import logits
from mmjax.losses.masked import all_present, masked_mean
from mmjax.objectives.examples import example_state, write_examples
from mmjax.objectives.projectors import Projector
from mmjax.objectives.two_gaussians import TwoGaussians, improved, low_probability, started
from mmjax.objectives.wiring import two_sides

UNSEEN = -1.0


class PseudoCaptions(nn.Module):
    """Triplet loss with pseudo-captions for pairs that look wrong (PC2, Duan et al. 2024, arXiv 2408.01349).

    Two Gaussians on the latest losses of all examples part clean pairs from noisy ones. A classifier without labels,
    one for both modalities, is trained on clean pairs: the picture's prediction follows its caption's class. A noisy
    pair takes the caption of the clean pair of the batch whose predicted classes are most like its own, c, with the
    margin m (10^c - 1) / 9, and is left out where c is below `least`.

    Attributes:
        streams: the two batch streams; pictures first, captions second.
        weight: factor of this part in the training loss.
        margin: of clean pairs.
        classes: pseudo-classes.
        hidden: units of the classifier's hidden layer.
        entropy: weight of the entropy of the batch's mean prediction, which keeps classes apart.
        least: likeness under which a noisy pair is left out.
        warmup: steps in which all pairs count as clean.
        pseudo: whether noisy pairs take other captions; False: they are left out.
        examples: samples of the source; filled in when a run is built.
        impl: dense, all similarities at once; blockwise, those of `block` anchors at a time.
        block: anchors of a tile.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    margin: float = 0.2
    classes: int = 128
    hidden: int = 256
    entropy: float = 1.0
    least: float = 0.5
    warmup: int = 200
    pseudo: bool = True
    examples: int = 0
    impl: str = "dense"
    block: int = BLOCK

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        sides, form = two_sides(self, features, batch), {"impl": self.impl, "block": self.block}
        there = all_present(sides["x_present"], len(batch["id"])) & all_present(sides["y_present"], len(batch["id"]))
        plain = noisy_hinge(**sides, margins=self.margin, hardest=False, **form)
        probability, warm = self._clean_probability(batch["id"], jax.lax.stop_gradient(plain), there, train)
        clean, noisy = there & (probability > 0.5), there & (probability <= 0.5)
        classify = Projector(self.hidden, 1, self.classes, name="classifier")
        of_x, of_y = classify(sides["x"]), classify(sides["y"])
        captions, likeness = self._borrowed(of_x, clean, noisy)
        own = noisy_hinge(**sides, margins=self.margin, **form)
        lent = noisy_hinge(**sides, captions=captions, margins=self.margin * (10**likeness - 1) / 9, **form)
        counted = jnp.where(clean, own, jnp.where(noisy & (likeness >= self.least), lent, 0.0))
        hinge = masked_mean(jnp.where(warm, plain, counted if self.pseudo else jnp.where(clean, own, 0.0)), there)
        classification = self._classification(of_x, of_y, clean)
        metrics = {"hinge_loss": hinge, "classification_loss": classification}
        return hinge + classification, metrics | {"clean_share": masked_mean(clean.astype(jnp.float32), there)}

    def _clean_probability(self, ids, losses, there, train: bool):
        """(B,) the probability that a pair is clean, 1 while warming up, and whether that is so ()."""
        latest = example_state(self, "loss", UNSEEN, 1)
        mixture = self.variable("state", "mixture", lambda: TwoGaussians(*(jnp.full(2, v) for v in (0.5, 0.0, 1.0))))
        steps = self.variable("state", "steps", lambda: jnp.zeros((), jnp.int32))
        warm = steps.value < self.warmup
        probability = jnp.where(warm, 1.0, low_probability(mixture.value, losses))
        if train and not self.is_initializing():
            write_examples(latest, ids, losses[:, None], there)
            values = latest.value[:, 0]
            seen = values >= 0
            fresh, better = started(values, seen), improved(mixture.value, values, seen)
            mixture.value = jax.tree.map(lambda a, b: jnp.where(warm, a, b), fresh, better)
            steps.value = steps.value + 1
        return probability, warm

    def _borrowed(self, scores, clean, noisy):
        """(captions (B,) int, likeness (B,)): own and 1 for clean pairs, else the most alike clean one's."""
        classes = jax.nn.softmax(jax.lax.stop_gradient(scores), axis=1)
        classes *= jax.lax.rsqrt(jnp.sum(jnp.square(classes), axis=1, keepdims=True))

        def alike(tile):
            return jnp.where(clean[None, :], logits(tile, classes), -1.0)

        form = {"impl": self.impl, "block": self.block}
        nearest = over_anchors(lambda tile: jnp.argmax(alike(tile), axis=1), classes, **form)
        likeness = over_anchors(lambda tile: jnp.max(alike(tile), axis=1), classes, **form)
        captions = jnp.where(noisy, nearest, jnp.arange(len(clean)))
        return captions, jnp.where(noisy, jnp.clip(likeness, 0.0, 1.0), 1.0)

    def _classification(self, of_x, of_y, clean):
        """Cross-entropy of the pictures' predictions to the captions' classes, less the entropy of their mean."""
        log_p = jax.nn.log_softmax(of_x, axis=1)
        taken = jnp.take_along_axis(log_p, jnp.argmax(of_y, axis=1)[:, None], axis=1)[:, 0]
        count = jnp.maximum(jnp.sum(clean, dtype=jnp.float32), 1.0)
        mean = jnp.sum(jnp.where(clean[:, None], jnp.exp(log_p), 0.0), axis=0) / count
        spread = -jnp.sum(mean * jnp.log(mean + 1e-8))
        return masked_mean(-taken, clean) - self.entropy * jnp.where(jnp.any(clean), spread, 0.0)
