"""Scores by attention: one side's tokens are pooled anew for every vector of the other side."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from mmjax.losses.logits import logits
from mmjax.losses.rows import Rows
from mmjax.losses.tokens_scores import Score, masked_softmax, product


def attention_pool(keys, values, mask, queries, factor):
    """(b, c, D): for each row of tokens and each query, sum_t softmax_t(factor k_t . q) v_t over the row's real tokens.

    Args:
        keys, values: (b, T, D).
        mask: (b, T) bool; a row without a real token gives zeros.
        queries: (c, D).
        factor: of the products.
    """
    products = logits(keys.reshape(-1, keys.shape[-1]), queries).reshape(*keys.shape[:2], -1)
    weights = masked_softmax(factor * products, mask[:, :, None], axis=1)
    return jnp.einsum("btc,btd->bcd", weights, values.astype(jnp.float32), precision=jax.lax.Precision.HIGHEST)


def cosines(pooled, vectors):
    """(b, c) cosines of pooled (b, c, D), a vector for each pair, with vectors (c, D) of unit norm; 0 where it is 0."""
    norm = jax.lax.rsqrt(jnp.sum(jnp.square(pooled), axis=-1) + 1e-12)
    return norm * jnp.einsum("bcd,cd->bc", pooled, vectors.astype(jnp.float32), precision=jax.lax.Precision.HIGHEST)


@dataclasses.dataclass(frozen=True)
class FramePooled(Score):
    """cos(y, sum_f softmax_f(x_f . y / softness) x_f): the parameter-free pooling of GLSCL (arXiv 2405.12710, global).

    x has the tokens, such as frames of a video, y a vector each, such as a caption's.

    Attributes:
        softness: temperature of the weights; at infinity the tokens are averaged.
    """

    softness: float = 0.1

    def __call__(self, x: Rows, y: Rows, params):
        """(b, c) twice: it is symmetric."""
        tokens, vectors = x.values["tokens"], y.values["vector"]
        pooled = attention_pool(tokens, tokens, x.facts["mask"], vectors, 1 / self.softness)
        return (cosines(pooled, vectors),) * 2

    def numbers(self, x, y):
        """A pair's weights and its pooled vector."""
        return sum(x.values["tokens"].shape[1:])


@dataclasses.dataclass(frozen=True)
class AttentionPooled(Score):
    """cos(y, z(x | y)) of X-Pool (Gorti et al. 2022, arXiv 2203.15086, equations 3 to 6), one attention head.

    z(x | y) = LN(u + W u + b), u = LN(O sum_f softmax_f(Q(LN y) . K(LN x_f) / sqrt(D)) V(LN x_f))

    x has the tokens, such as frames, y a vector each, such as a caption's. All products start as the identity. Keys
    have no bias: the softmax is blind to it.
    """

    learns: ClassVar[bool] = True

    def init(self, key, width):
        """Kernels (D, D) and biases of q, k, v, out and linear, and scale and bias of three norms."""
        dense = {"kernel": jnp.eye(width), "bias": jnp.zeros((width,))}
        norm = {"scale": jnp.ones((width,)), "bias": jnp.zeros((width,))}
        products = dict.fromkeys(("q", "v", "out", "linear"), dense) | {"k": {"kernel": jnp.eye(width)}}
        return products | dict.fromkeys(("norm", "norm_u", "norm_z"), norm)

    def prepare(self, rows, params, *, first):
        """x: `keys`, and `values` with the output product done, which commutes with the mean; y: `query`, `vector`."""
        p = params
        if not first:
            query = _dense(p["q"], _norm(p["norm"], rows.values["vector"]))
            return rows._replace(values={"query": query, "vector": rows.values["vector"]})
        normed = _norm(p["norm"], rows.values["tokens"])
        values = product(_dense(p["v"], normed), p["out"]["kernel"])
        return rows._replace(values={"keys": product(normed, p["k"]["kernel"]), "values": values})

    def __call__(self, x: Rows, y: Rows, params):
        """(b, c) twice: it is symmetric."""
        v, query = x.values, y.values["query"]
        u = attention_pool(v["keys"], v["values"], x.facts["mask"], query, query.shape[-1] ** -0.5)
        u = _norm(params["norm_u"], u + params["out"]["bias"][None, None])
        z = _norm(params["norm_z"], u + _dense(params["linear"], u))
        some = jnp.any(x.facts["mask"], axis=1)[:, None]
        return (jnp.where(some, cosines(z, y.values["vector"]), 0.0),) * 2

    def numbers(self, x, y):
        """A pair's weights, and four vectors from the pooled one to the last norm."""
        return x.values["keys"].shape[1] + 4 * x.values["keys"].shape[2]


def _dense(p, x):
    return product(x, p["kernel"]) + p["bias"].reshape((1,) * (x.ndim - 1) + (-1,))


def _norm(p, x):
    """Layer norm over the last axis, in float32."""
    x = x.astype(jnp.float32)
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-5)
    along = (1,) * (x.ndim - 1) + (-1,)
    return x * p["scale"].reshape(along) + p["bias"].reshape(along)
