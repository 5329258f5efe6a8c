"""The model: a tower for each modality, a projection into the shared space, unit norm, and heads on them."""

import flax.linen as nn

from mmjax.encoders import ENCODERS, Features
from mmjax.encoders.layers import Dense
from mmjax.encoders.norms import unit_norm
from mmjax.heads import HEADS, SameHead
from mmjax.rng import fold_keys, purpose_number


class Model(nn.Module):
    """Encodes every stream of a batch with its tower, and what heads make of that.

    Parameters lie under "<tower>", "<tower>_projection" and "<head>_head".

    Attributes:
        towers: (name, kind, projection, options) of each encoder.
        streams: (stream, tower) pairs; several streams may share a tower.
        embed_dim: width of the shared space.
        dtype: dtype of activations.
        heads: (name, kind, options) of each head.
    """

    towers: tuple
    streams: tuple
    embed_dim: int
    dtype: str = "float32"
    heads: tuple = ()

    @nn.compact
    def __call__(self, batch, *, keys=None, given=None) -> dict[str, Features]:
        """Features of every stream present in the batch; `pooled` is projected, float32 and of unit norm.

        Args:
            batch: stream -> (B, ...), with `<stream>_mask` where padded.
            keys: (B,) per-example keys when training; None: deterministic.
            given: features by name that were made already, such as a teacher's: heads may take them, and they are
                among what is returned.
        """
        towers = {name: self._tower(name, *how) for name, *how in self.towers}
        features = dict(given or {})
        for stream, name in self.streams:
            if stream in batch:
                features[stream] = towers[name](batch[stream], batch.get(f"{stream}_mask"), _folded(keys, stream))
        heads = {name: HEADS[k](**dict(o), embed_dim=self.embed_dim, name=f"{name}_head") for name, k, o in self.heads}
        for name in self._order():
            head, taken = heads[name], features
            if set(head.reads) <= features.keys():
                if isinstance(head, SameHead):
                    head, taken = heads[head.of], {heads[head.of].stream: features[head.stream]}
                features[name] = head(taken, keys=_folded(keys, name))
        return features

    def base_streams(self, name: str) -> tuple[str, ...]:
        """The batch streams, or teachers' features, that the features of a stream or head are made of."""
        reads = self._reads()
        if name not in reads:
            return (name,)
        return tuple(dict.fromkeys(base for read in reads[name] for base in self.base_streams(read)))

    def _order(self):
        """The names of the heads, each behind those that it takes features of."""
        waiting = self._reads()
        while waiting:
            ready = [name for name, reads in waiting.items() if not set(reads) & waiting.keys()]
            yield from ready
            waiting = {name: reads for name, reads in waiting.items() if name not in ready}

    def _reads(self) -> dict[str, tuple[str, ...]]:
        return {name: HEADS[kind](**dict(options), parent=None).reads for name, kind, options in self.heads}

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


def _folded(keys, name: str):
    return None if keys is None else fold_keys(keys, purpose_number(name))


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
    heads = tuple((name, e.kind, tuple(options_of(e).items())) for name, e in config.heads.items())
    dtype = activation_dtype(config.activations, platform)
    return Model(towers, tuple(config.streams.items()), config.embed_dim, dtype, heads)
