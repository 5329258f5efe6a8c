"""Finite discrete tokens: both modalities as sparse mixtures of one learned codebook (FDT)."""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp

from mmjax.losses.logits import logits
from mmjax.losses.rows import Rows
from mmjax.losses.tokens_scores import Score, product

# Vectors whose products with all tokens are held together.
AT_ONCE = 512


def greatest_products(tokens, mask, vectors):
    """(n, C) float32 greatest product of each vector with a real token of each row; -inf where there is no token.

    Some vectors at a time: the products of all tokens with all of a vocabulary are larger than anything else in a step.

    Args:
        tokens: (n, T, D).
        mask: (n, T) bool.
        vectors: (C, D).
    """
    tokens = tokens.astype(jnp.float32)

    @jax.checkpoint
    def greatest(vector):
        z = jnp.einsum("ntd,d->nt", tokens, vector, precision=jax.lax.Precision.HIGHEST)
        return jnp.max(jnp.where(mask, z, -jnp.inf), axis=1)

    return jax.lax.map(greatest, vectors, batch_size=min(AT_ONCE, len(vectors))).T


@jax.custom_jvp
def sparsemax(z):
    """The nearest point of the simplex to each row of z (..., C), mostly zeros (Martins & Astudillo 2016, 1602.02068).

    p = max(z - tau, 0), tau such that p sums to 1.
    """
    largest = jnp.flip(jnp.sort(z, axis=-1), axis=-1)
    count = jnp.arange(1, z.shape[-1] + 1, dtype=z.dtype).reshape((1,) * (z.ndim - 1) + (-1,))
    # Sums of z minus its maximum: of large scores, the digits are lost otherwise.
    top = largest[..., :1]
    sums = jnp.cumsum(largest - top, axis=-1)
    support = jnp.sum(1 + count * (largest - top) > sums, axis=-1, keepdims=True)
    tau = (jnp.take_along_axis(sums, support - 1, axis=-1) - 1) / support.astype(z.dtype)
    return jnp.maximum(z - top - tau, 0.0)


@sparsemax.defjvp
def _sparsemax_jvp(primals, tangents):
    """dp = dz - mean of dz over the support, there; 0 elsewhere (proposition 2)."""
    p, (dz,) = sparsemax(*primals), tangents
    support = (p > 0).astype(dz.dtype)
    mean = jnp.sum(dz * support, axis=-1, keepdims=True) / jnp.sum(support, axis=-1, keepdims=True)
    return p, support * (dz - mean)


@dataclasses.dataclass(frozen=True)
class Codebook(Score):
    """Cosine of z = sum_c a_c C_c, a = sparsemax_c(max_p <x_p, C_c> / (sqrt(D) softness)) (FDT, arXiv 2303.14865).

    The codebook C (codes, D) is shared by both sides, so that they have to name the same codes. Padding is left out of
    the maximum. The tokens x_p are those of a projection, and need not be of unit norm.

    Attributes:
        codes: rows of the codebook.
        softness: temperature of the assignment, the paper's T.
        assign: sparsemax; softmax, where every code has a share in everything.
    """

    codes: int = 16384
    softness: float = 1.0
    assign: str = "sparsemax"
    learns: ClassVar[bool] = True

    def __post_init__(self):
        if self.assign not in ("sparsemax", "softmax") or self.codes < 1 or not self.softness > 0:
            raise ValueError(f"{self}: assign is sparsemax or softmax, codes and softness are above 0")

    def init(self, key, width):
        """{"codebook": (codes, D)}, standard normal: an entry's product with a token is then of the order sqrt(D)."""
        return {"codebook": jax.random.normal(key, (self.codes, width))}

    def shares(self, rows: Rows, params):
        """(n, codes) the share of every code in each row, summing to 1."""
        tokens, mask = rows.values["tokens"], rows.facts["mask"]
        some = jnp.any(mask, axis=1)[:, None]
        products = greatest_products(tokens, mask, params["codebook"])
        relevance = jnp.where(some, products / (math.sqrt(tokens.shape[-1]) * self.softness), 0.0)
        shares = sparsemax(relevance) if self.assign == "sparsemax" else jax.nn.softmax(relevance, axis=1)
        return jnp.where(some, shares, 0.0)

    def prepare(self, rows, params, *, first):
        """`vector` (n, D) of unit norm, the mixture of codes."""
        z = product(self.shares(rows, params), params["codebook"])
        z = z * jax.lax.rsqrt(jnp.sum(jnp.square(z), axis=-1, keepdims=True) + 1e-12)
        return rows._replace(values={"vector": z})

    def __call__(self, x: Rows, y: Rows, params):
        """(b, c) twice: it is symmetric."""
        return (logits(x.values["vector"], y.values["vector"]),) * 2

    def numbers(self, x, y):
        """A cosine."""
        return 1
