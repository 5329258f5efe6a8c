"""What objectives share: the learned scale and its limits, and the streams of a batch as arguments of a loss."""

import math

import flax.linen as nn
import jax.numpy as jnp


class Scaled(nn.Module):
    """An objective with a learned scale: a module with the fields `temperature`, its start, and `max_scale`."""

    def learned_scale(self, shape: tuple = ()):
        """exp of the parameter `logit_scale` of `shape`, which starts at -log(temperature)."""
        return jnp.exp(self.param("logit_scale", nn.initializers.constant(-math.log(self.temperature)), shape))

    def after_update(self, params):
        """`params` with `logit_scale` clamped to [0, log max_scale], as open_clip does after every step."""
        return {**params, "logit_scale": jnp.clip(params["logit_scale"], 0.0, math.log(self.max_scale))}


def vectors_of(streams, features, batch):
    """Pooled vectors (B, D) of the streams, and `<stream>_present` (B,) bool, or None where the batch has none.

    Raises:
        ValueError: if the batch has no such stream.
    """
    for stream in streams:
        if stream not in features:
            has = ", ".join(features) or "none"
            raise ValueError(f"the batch has no stream {stream!r}, it has {has}: bring it, or name another stream")
    return [features[s].pooled for s in streams], [batch.get(f"{s}_present") for s in streams]


def two_sides(module: nn.Module, features, batch) -> dict:
    """The arguments x, y, x_present and y_present of a loss between the two streams of `module`."""
    (x, y), (x_present, y_present) = vectors_of(module.streams, features, batch)
    return {"x": x, "y": y, "x_present": x_present, "y_present": y_present}


def positive_ids(module: nn.Module, batch):
    """The batch entry that `module.positives` names, None for none.

    Raises:
        ValueError: if the batch has no such entry.
    """
    if not module.positives:
        return None
    if module.positives not in batch:
        raise ValueError(f"the batch has no {module.positives!r}: positives may be one of {', '.join(batch)}")
    return batch[module.positives]


def rows_of(examples: int) -> int:
    """Rows of a state with one for each of `examples`: rounded up, so that meshes of any usual size divide it."""
    return -(-examples // 1024) * 1024
