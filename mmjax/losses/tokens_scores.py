"""How alike two sets of tokens are: what takes the place of the inner product of two vectors.

A row without a real token has similarity 0 to everything.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from mmjax.losses.logits import logits
from mmjax.losses.rows import Rows


@dataclasses.dataclass(frozen=True)
class Score:
    """What every score is. Its options are its fields; what it learns, if it `learns`, are `params`, a pytree."""

    learns: ClassVar[bool] = False

    def init(self, key, width: int) -> dict:
        """Parameters to start from, for tokens of that width."""
        return {}

    def prepare(self, rows: Rows, params, *, first: bool) -> Rows:
        """What is made of each row alone, before pairs; `first` tells x's rows from y's."""
        return rows

    def __call__(self, x: Rows, y: Rows, params):
        """(b, c), (b, c) float32 similarities of prepared rows, for anchors in x and for anchors in y."""
        raise NotImplementedError

    def numbers(self, x: Rows, y: Rows) -> int:
        """How many numbers a pair of prepared rows is made of; here the products of their tokens."""
        return x.values["tokens"].shape[1] * y.values["tokens"].shape[1]


def token_products(x: Rows, y: Rows):
    """(b, T, c, V) float32 inner products of every token of x (b, T, D) with every token of y (c, V, D)."""
    x, y = x.values["tokens"], y.values["tokens"]
    z = logits(x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]))
    return z.reshape(*x.shape[:2], *y.shape[:2])


def token_weights(rows: Rows):
    """(n, T): the share of each token in its row's mean, `weights` of the rows, or even over real tokens."""
    if "weights" in rows.values:
        return rows.values["weights"]
    mask = rows.facts["mask"].astype(jnp.float32)
    return mask / jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1.0)


def late_interaction(x: Rows, y: Rows, pool):
    """Each token of an anchor finds its counterpart by `pool(z, mask, axis)`; the anchor's similarity is their mean.

    Returns:
        (b, c), (b, c): by the tokens of x, and by the tokens of y.
    """
    z = token_products(x, y)
    of_x = pool(z, y.facts["mask"][None, None, :, :], axis=3)
    of_y = pool(z, x.facts["mask"][:, :, None, None], axis=1)
    to_y = jnp.sum(token_weights(x)[:, :, None] * of_x, axis=1)
    to_x = jnp.sum(token_weights(y)[None, :, :] * of_y, axis=2)
    return to_y, to_x


@dataclasses.dataclass(frozen=True)
class MaxSimilarity(Score):
    """The mean over an anchor's tokens of the greatest product with a token of the other (FILIP, arXiv 2111.07783).

    s_x = 1/T sum_k max_r <x_k, y_r>, s_y = 1/V sum_r max_k <x_k, y_r> (equations 4 and 5), padding left out of both.
    """

    def __call__(self, x: Rows, y: Rows, params):
        """(b, c), (b, c): s_x and s_y."""
        return late_interaction(x, y, _greatest)


@dataclasses.dataclass(frozen=True)
class SoftMaxSimilarity(Score):
    """The same with a soft maximum, sum_r softmax_r(z_kr / softness) z_kr (CiCo, Cheng et al. 2023, arXiv 2303.12793).

    At softness 0 it is `MaxSimilarity`, at infinity the inner product of the mean tokens.

    Attributes:
        softness: temperature of the weights, above 0; 0.07 in the paper's code.
    """

    softness: float = 0.07

    def __call__(self, x: Rows, y: Rows, params):
        """(b, c), (b, c): by the tokens of x, and by the tokens of y."""

        def soft_greatest(z, mask, axis):
            return jnp.sum(masked_softmax(z / self.softness, mask, axis) * z, axis)

        return late_interaction(x, y, soft_greatest)


@dataclasses.dataclass(frozen=True)
class WeightedMaxSimilarity(Score):
    """The mean of both sides' weighted greatest products, 1/2 (sum_k w_k max_r z_kr + sum_r w_r max_k z_kr).

    The token-wise similarity of HBI (Jin et al. 2023, arXiv 2303.14369) and, before it, of DRL (Wang et al. 2022, arXiv
    2203.07111). Each side's weights are a softmax over its real tokens of what a small network makes of a token.

    Attributes:
        hidden: hidden units of that network, as a multiple of the tokens' width.
    """

    hidden: int = 2
    learns: ClassVar[bool] = True

    def init(self, key, width):
        """{"x", "y"}: (D, hidden D) and (hidden D,) with biases; the output starts at 0, so tokens weigh evenly."""
        normal, inner = jax.nn.initializers.lecun_normal(), self.hidden * width
        return {
            side: {
                "hidden_kernel": normal(k, (width, inner)),
                "hidden_bias": jnp.zeros((inner,)),
                "out_kernel": jnp.zeros((inner,)),
            }
            for side, k in zip("xy", jax.random.split(key), strict=True)
        }

    def prepare(self, rows, params, *, first):
        """With `weights` (n, T)."""
        p = params["x" if first else "y"]
        hidden = jax.nn.relu(product(rows.values["tokens"], p["hidden_kernel"]) + p["hidden_bias"][None, None])
        weights = masked_softmax(product(hidden, p["out_kernel"][:, None])[..., 0], rows.facts["mask"], axis=1)
        return rows._replace(values=rows.values | {"weights": weights})

    def __call__(self, x: Rows, y: Rows, params):
        """(b, c) twice: it is symmetric."""
        to_y, to_x = late_interaction(x, y, _greatest)
        return ((to_y + to_x) / 2,) * 2


def _greatest(z, mask, axis):
    """The maximum over what `mask` holds along `axis`, 0 where it holds nothing."""
    some = jnp.any(mask, axis)
    largest = jnp.max(jnp.where(mask, z, -jnp.inf), axis)
    return jnp.where(some, largest, 0.0)


def product(x, kernel):
    """x (..., D) times a float32 kernel (D, F), in float32 on every platform."""
    return jnp.matmul(x.astype(jnp.float32), kernel, precision=jax.lax.Precision.HIGHEST)


def masked_softmax(z, mask, axis):
    """Softmax over what `mask` holds along `axis`, zeros where it holds nothing; finite in value and gradient."""
    kept = jnp.where(mask, z, -jnp.inf)
    top = jax.lax.stop_gradient(jnp.maximum(jnp.max(kept, axis, keepdims=True), jnp.finfo(z.dtype).min))
    e = jnp.exp(kept - top)
    total = jnp.sum(e, axis, keepdims=True)
    return e / jnp.where(total > 0, total, 1.0)
