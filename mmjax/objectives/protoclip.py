"""ProtoCLIP: either modality's clusters, found again every so many steps, as classes for the other one."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.losses.clusters import NOWHERE, cluster_means, far_apart, kmeans
from mmjax.losses.masked import all_present
from mmjax.losses.prototypes import prototypical
from mmjax.objectives.examples import example_state, write_examples
from mmjax.objectives.wiring import Scaled, vectors_of


class ProtoCLIP(Scaled):
    """Cluster classification across modalities with back translation (ProtoCLIP, Chen et al. 2022, arXiv 2206.10996).

    The clusters of each stream are those of its last features of every example, by k-means every `episode` steps; until
    then the loss is 0. It is meant beside a contrastive objective on the same towers, on heads of its own.

    Attributes:
        streams: the two streams or heads, each the other's teacher.
        weight: factor of this part in the training loss.
        temperature: initial temperature, 1/scale.
        max_scale: the learned scale stays between 1 and this.
        clusters: number of clusters of each stream.
        episode: steps between clusterings.
        iterations: rounds of k-means.
        teacher_temperature: of the targets, from the likeness of the teacher's centroids; 0: one class is right.
        back_translation: whether prototypes are the student's own means over the teacher's clusters, or the teacher's.
        examples: samples of the source; filled in when a run is built.
        impl: form of the loss: dense, blockwise, ring or auto.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    temperature: float = 0.07
    max_scale: float = 100.0
    clusters: int = 64
    episode: int = 100
    iterations: int = 20
    teacher_temperature: float = 0.01
    back_translation: bool = True
    examples: int = 0
    impl: str = "auto"

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        scale = self.learned_scale()
        vectors, present = vectors_of(self.streams, features, batch)
        widths = [v.shape[1] for v in vectors]
        banks = [self._bank(side, width) for side, width in zip("xy", widths, strict=True)]
        classes = [self._classes(side, *sizes) for side, sizes in zip("xy", (widths, widths[::-1]), strict=True)]
        steps = self.variable("state", "steps", lambda: jnp.zeros((), jnp.int32))
        if train and not self.is_initializing():
            for bank, rows, there in zip(banks, vectors, present, strict=True):
                remember(bank, batch["id"], jax.lax.stop_gradient(rows), all_present(there, len(rows)))
            steps.value = steps.value + 1
            self._cluster_again(banks, classes, steps.value)
        losses = []
        for student, teacher in ((0, 1), (1, 0)):
            c = classes[teacher].value
            losses.append(
                prototypical(
                    vectors[student],
                    c["translated"] if self.back_translation else c["centroids"],
                    c["centroids"],
                    banks[teacher]["labels"].value[batch["id"], 0],
                    scale,
                    teacher_temperature=self.teacher_temperature,
                    kept=c["sizes"] > 0,
                    x_present=present[student],
                    impl=self.impl,
                )
            )
        loss = (losses[0] + losses[1]) / 2
        return loss, {"prototype_loss": loss, "logit_scale": scale}

    def _bank(self, side: str, width: int) -> dict:
        """What is remembered of every example: its last features, whether there are any, its cluster."""
        bank = {name: example_state(self, f"{side}_{name}", 0.0, n) for name, n in (("vectors", width), ("seen", 1))}
        shape = bank["seen"].value.shape
        labels = self.variable("state", f"example_{side}_labels", lambda: jnp.full(shape, NOWHERE, jnp.int32))
        return bank | {"labels": labels}

    def _classes(self, side: str, width: int, student_width: int):
        """A stream's clusters: centroids, the other stream's means over them, and their sizes."""
        empty = lambda: {  # noqa: E731
            "centroids": jnp.zeros((self.clusters, width), jnp.float32),
            "translated": jnp.zeros((self.clusters, student_width), jnp.float32),
            "sizes": jnp.zeros((self.clusters,), jnp.float32),
        }
        return self.variable("state", f"{side}_classes", empty)

    def _cluster_again(self, banks, classes, step) -> None:
        """New labels and classes at the end of an episode."""
        key = self.make_rng("objective")
        seen = [{name: variable.value for name, variable in bank.items()} for bank in banks]
        old = [(bank["labels"], c.value) for bank, c in zip(seen, classes, strict=True)]

        def cluster():
            new = []
            for n, (bank, other) in enumerate((seen, seen[::-1])):
                vectors, valid = bank["vectors"], bank["seen"][:, 0] > 0
                start = far_apart(jax.random.fold_in(key, n), vectors, self.clusters, valid=valid)
                labels, centroids = kmeans(vectors, start, valid=valid, iterations=self.iterations)
                both = jnp.where(other["seen"][:, 0] > 0, labels, NOWHERE)
                translated, sizes = cluster_means(other["vectors"], both, self.clusters)
                new.append((labels[:, None], {"centroids": centroids, "translated": translated, "sizes": sizes}))
            return new

        new = jax.lax.cond(step % self.episode == 0, cluster, lambda: old)
        for bank, variable, (labels, c) in zip(banks, classes, new, strict=True):
            bank["labels"].value, variable.value = labels, c


def remember(bank: dict, ids, vectors, there) -> None:
    """Put a batch's vectors (B, D) of ids (B,) into the bank where they are `there` (B,); of equal ids the last."""
    write_examples(bank["vectors"], ids, vectors.astype(jnp.float32), there)
    write_examples(bank["seen"], ids, jnp.ones((len(ids), 1), jnp.float32), there)
