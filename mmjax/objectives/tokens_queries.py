"""GLSCL: frames pooled for a caption, and learned queries that both modalities fill."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders.attention import Attention, attention_bias
from mmjax.encoders.blocks import MLP
from mmjax.encoders.norms import unit_norm
from mmjax.encoders.spec import Spec
from mmjax.losses.logits import logits
from mmjax.losses.tokens_attention import FramePooled
from mmjax.losses.tokens_queries import query_consistency, query_diversity
from mmjax.objectives.tokens import TokenObjective


class QueryDecoder(nn.Module):
    """Learned queries that attend to one another and to a sample's tokens, in pre-norm layers.

    Attributes:
        queries: how many.
        spec: width, heads and layers.
    """

    queries: int
    spec: Spec

    @nn.compact
    def __call__(self, tokens, mask):
        """tokens (B, T, D), mask (B, T) bool -> (B, queries, D) of unit norm."""
        s = self.spec
        learned = self.param("queries", nn.initializers.normal(1.0), (self.queries, s.width))
        x = jnp.broadcast_to(learned[None], (len(tokens), *learned.shape))
        bias = attention_bias(mask)
        for i in range(s.depth):
            y = s.make_norm(f"self_norm_{i}")(x)
            x = x + Attention(s, name=f"self_attention_{i}")(y, y)
            y = s.make_norm(f"cross_norm_{i}")(x)
            x = x + Attention(s, name=f"cross_attention_{i}")(y, tokens, bias)
            x = x + MLP(s, name=f"mlp_{i}")(s.make_norm(f"mlp_norm_{i}")(x))
        return unit_norm(s.make_norm("norm")(x))


@dataclasses.dataclass(frozen=True)
class GlobalLocal(FramePooled):
    """s_global + local_weight / Q sum_q x_q . y_q: frames pooled for the caption, and the queries that both fill.

    Attributes:
        queries: Q.
        layers: of the decoder that fills them, shared by both sides.
        heads: of its attention.
        local_weight: of the queries' similarity.
    """

    queries: int = 16
    layers: int = 3
    heads: int = 8
    local_weight: float = 0.5
    learns: ClassVar[bool] = True

    def decoder(self, width: int) -> QueryDecoder:
        """The decoder of both sides."""
        rates = {"layer_scale": 0.0, "dropout": 0.0, "drop_path": 0.0}
        how = {"act": "gelu", "norm": "layer", "norm_eps": 1e-5, "qk_norm": False, "scan": False, "remat": "none"}
        spec = Spec(width, self.layers, self.heads, 4 * width, **how, **rates, dtype="float32")
        return QueryDecoder(self.queries, spec)

    def init(self, key, width):
        """The decoder's parameters."""
        return self.decoder(width).init(key, jnp.zeros((1, 1, width)), jnp.ones((1, 1), bool))["params"]

    def prepare(self, rows, params, *, first):
        """With `queries` (n, Q, D)."""
        tokens = rows.values["tokens"].astype(jnp.float32)
        queries = self.decoder(tokens.shape[-1]).apply({"params": params}, tokens, rows.facts["mask"])
        kept = {"tokens": rows.values["tokens"]} if first else {"vector": rows.values["vector"]}
        return rows._replace(values=kept | {"queries": queries})

    def __call__(self, x, y, params):
        """(b, c) twice: it is symmetric."""
        flat = [side.values["queries"].reshape(len(side.facts["present"]), -1) for side in (x, y)]
        score = super().__call__(x, y, params)[0] + self.local_weight / self.queries * logits(*flat)
        return score, score


class GLSCL(TokenObjective):
    """Global and local semantic consistency (GLSCL, Zhang et al. 2024, arXiv 2405.12710).

    Attributes:
        streams: the stream whose tokens are pooled, such as frames, and that of the vectors, such as captions.
        softness: temperature of the pooling of frames.
        queries: learned queries that both modalities fill.
        layers: of the decoder that fills them, shared by both sides.
        heads: of its attention.
        local_weight: of the queries' similarity beside that of the pooled frames.
        consistency: weight of the loss that pulls a pair's queries together.
        beta: weight, in it, of the mean cosines' distance from 0.75.
        diversity: weight of the loss that keeps a sample's queries apart.
        margin: by which it does.
    """

    streams: tuple[str, str] = ("video_tokens", "text_tokens")
    softness: float = 0.1
    queries: int = 16
    layers: int = 3
    heads: int = 8
    local_weight: float = 0.5
    consistency: float = 1.0
    beta: float = 0.005
    diversity: float = 0.01
    margin: float = 0.1

    def score(self):
        """Pooled frames and queries."""
        return GlobalLocal(self.softness, self.queries, self.layers, self.heads, self.local_weight)

    def further(self, x, y):
        """Consistency of pairs and diversity of either side's queries."""
        queries, present = [s.values["queries"] for s in (x, y)], [s.facts["present"] for s in (x, y)]
        both = present[0] & present[1]
        consistency = query_consistency(*queries, both, beta=self.beta)
        sides = list(zip(queries, present, strict=True))
        diversity = sum(query_diversity(q, p, margin=self.margin) for q, p in sides) / 2
        metrics = {"consistency": consistency, "diversity": diversity, "query_cosine": _mean_cosine(*sides[0])}
        return self.consistency * consistency + self.diversity * diversity, metrics


def _mean_cosine(queries, present):
    """() mean cosine of two different queries of a sample: 1 where they are all one."""
    q, there = jax.lax.stop_gradient(queries), present.astype(jnp.float32)
    total = jnp.einsum("bqd,brd,b->", q, q, there)
    count = q.shape[1]
    return (total / jnp.maximum(jnp.sum(there), 1.0) - count) / max(count * (count - 1), 1)
