"""SwAV: views that predict one another's assignments to learned prototypes."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders.norms import unit_norm
from mmjax.losses import swapped_crops
from mmjax.losses.logits import logits
from mmjax.losses.masked import only_present
from mmjax.objectives.wiring import vectors_of


class SwAV(nn.Module):
    """Swapped prediction of cluster assignments (SwAV, Caron et al. 2020, arXiv 2006.09882), of any number of crops.

    Attributes:
        streams: the views, those that are assigned to prototypes first: two large crops, then small ones.
        weight: factor of this part in the training loss.
        assigned: number of the first streams that are assigned.
        prototypes: number of prototypes, which are of unit norm after every step.
        temperature: of the predictions.
        epsilon: smoothness of the assignments.
        iterations: rounds in which prototypes are made equally used; 0: none, which collapses.
        frozen_steps: steps before the prototypes begin to learn.
        queue: earlier samples of each assigned view that take part in the assignments; 0: none.
        queue_steps: steps before they do.
    """

    streams: tuple[str, ...] = ("image", "image_2")
    weight: float = 1.0
    assigned: int = 2
    prototypes: int = 3000
    temperature: float = 0.1
    epsilon: float = 0.05
    iterations: int = 3
    frozen_steps: int = 0
    queue: int = 0
    queue_steps: int = 0

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features of unit-norm pooled (B, D)) on a batch."""
        vectors, present = vectors_of(self.streams, features, batch)
        shape = (self.prototypes, vectors[0].shape[1])
        prototypes = self.param("prototypes", lambda key: unit_norm(jax.random.normal(key, shape)))
        steps = self.variable("state", "steps", lambda: jnp.zeros((), jnp.int32))
        prototypes = jnp.where(steps.value < self.frozen_steps, jax.lax.stop_gradient(prototypes), prototypes)
        scores = [logits(v.astype(jnp.float32), prototypes) for v in vectors]
        options = {name: getattr(self, name) for name in ("assigned", "temperature", "epsilon", "iterations")}
        if self.queue:
            options |= self._queued(vectors, present, prototypes, steps.value, train)
        loss = swapped_crops(scores, present=present, **options)
        if train and not self.is_initializing():
            steps.value = steps.value + 1
        return loss, {"swav_loss": loss, "prototype_perplexity": perplexity(scores[0])}

    def _queued(self, vectors, present, prototypes, step, train: bool) -> dict:
        """The queue's part of the arguments of the loss; in training, this batch is put in for later ones.

        A row of zeros is no sample: not yet filled, or of one that lacks the view.
        """
        width = vectors[0].shape[1]
        queue = self.variable("state", "queue", lambda: jnp.zeros((self.assigned, self.queue, width), jnp.float32))
        earlier = queue.value
        filled = jnp.any(earlier != 0, axis=2) & (step >= self.queue_steps)
        new = [only_present(*view) for view in zip(vectors, present, strict=True)][: self.assigned]
        new = jax.lax.stop_gradient(jnp.stack(new)).astype(jnp.float32)
        if train and not self.is_initializing():
            queue.value = jnp.concatenate([new, earlier], axis=1)[:, : self.queue]
        scores = [logits(rows, jax.lax.stop_gradient(prototypes)) for rows in earlier]
        return {"queues": scores, "queue_present": list(filled)}

    def after_update(self, params):
        """`params` with prototypes of unit norm."""
        return {**params, "prototypes": unit_norm(params["prototypes"])}


def perplexity(scores):
    """() exp of the entropy of how often each prototype is a row's nearest: from 1, one takes all, to their number."""
    rows, count = scores.shape
    share = jnp.zeros((count,), jnp.float32).at[jnp.argmax(scores, axis=1)].add(1.0) / rows
    return jnp.exp(-jnp.sum(jnp.where(share > 0, share * jnp.log(jnp.where(share > 0, share, 1.0)), 0.0)))
