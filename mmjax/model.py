"""The model: one tower for each modality, a projection into the shared space, unit norm."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders import ENCODERS, Features
from mmjax.encoders.layers import Dense
from mmjax.rng import fold_keys, purpose_number


class Model(nn.Module):
    """Encodes every stream of a batch with its tower.

    Parameters lie under "<tower>" and "<tower>_projection".

    Attributes:
        towers: (name, kind, projection, options) of each encoder.
        streams: (stream, tower) pairs; several streams may share a tower.
        embed_dim: width of the shared space.
        dtype: dtype of activations.
    """

    towers: tuple
    streams: tuple
    embed_dim: int
    dtype: str = "float32"

    @nn.compact
    def __call__(self, batch, *, keys=None) -> dict[str, Features]:
        """Features of every stream present in the batch; `pooled` is projected, float32 and of unit norm.

        Args:
            batch: stream -> (B, ...), with `<stream>_mask` where padded.
            keys: (B,) per-example keys when training; None: deterministic.
        """
        towers = {name: self._tower(name, *how) for name, *how in self.towers}
        features = {}
        for stream, name in self.streams:
            if stream in batch:
                stream_keys = None if keys is None else fold_keys(keys, purpose_number(stream))
                features[stream] = towers[name](batch[stream], batch.get(f"{stream}_mask"), stream_keys)
        return features

    def _tower(self, name: str, kind: str, projection: str, options: tuple):
        encoder = ENCODERS[kind](**dict(options), dtype=self.dtype, name=name)
        project = lambda pooled: pooled  # noqa: E731
        if projection != "none":
            # In float32: the one product after which nothing is normed before the logits.
            project = Dense(self.embed_dim, projection == "affine", name=f"{name}_projection")

        def encode(x, mask, keys):
            features = encoder(x, mask=mask, keys=keys)
            return features.replace(pooled=unit_norm(project(features.pooled)))

        return encode


def unit_norm(x):
    """Rows of x (..., D) divided by their Euclidean norm, in float32; a zero row stays zero with finite gradient."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True) + 1e-12)


def activation_dtype(name: str, platform: str) -> str:
    """The dtype behind config.activations: "auto" is bfloat16 wherever the hardware gains by it."""
    if name != "auto":
        return name
    return "float32" if platform == "cpu" else "bfloat16"


def build_model(config, platform: str) -> Model:
    """The model of a config, for devices of a platform such as "cpu" or "tpu"."""
    from mmjax.config import options_of

    towers = tuple(
        (name, e.kind, e.projection, tuple(options_of(e, "projection").items())) for name, e in config.towers.items()
    )
    dtype = activation_dtype(config.activations, platform)
    return Model(towers, tuple(config.streams.items()), config.embed_dim, dtype)
