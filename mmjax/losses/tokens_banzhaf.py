"""How much a text token and a video token are worth together beyond what each is alone: Banzhaf interaction (HBI)."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.losses.masked import masked_mean
from mmjax.losses.tokens_scores import masked_softmax

# Whether t and v are in: both, neither, t alone, v alone.
CORNERS = np.array([[True, False, True, False], [True, False, False, True]])


def every_coalition(players: int) -> np.ndarray:
    """(2^players, players) bool, all coalitions: with them the interaction is exact."""
    return np.array(list(itertools.product((False, True), repeat=players)), bool)


def random_coalitions(key, count: int, players: int):
    """(count, players) bool, every player in or out with even odds: with them the interaction is an estimate."""
    return jax.random.bernoulli(key, 0.5, (count, players))


def coalition_value(z, x_logits, y_logits, in_x, in_y):
    """The token-wise similarity of a sample's tokens that are in a coalition, 0 where one side has none.

    1/2 (sum_{t in S} w_t max_{v in S} z_tv + sum_{v in S} w_v max_{t in S} z_tv), w a softmax over the side's tokens
    that are in S.

    Args:
        z: (T, V) products of tokens.
        x_logits, y_logits: (T,), (V,) logits of the weights.
        in_x, in_y: (T,), (V,) bool.

    Returns:
        () float32.
    """
    pairs = in_x[:, None] & in_y[None, :]
    kept = jnp.where(pairs, z, -jnp.inf)
    best_y = jnp.where(jnp.any(pairs, 1), jnp.max(kept, 1), 0.0)
    best_x = jnp.where(jnp.any(pairs, 0), jnp.max(kept, 0), 0.0)
    of_x = jnp.sum(masked_softmax(x_logits, in_x, 0) * best_y)
    return (of_x + jnp.sum(masked_softmax(y_logits, in_y, 0) * best_x)) / 2


def banzhaf_interactions(z, x_logits, y_logits, x_mask, y_mask, coalitions):
    """(B, T, V) float32: E_S[f(S + t + v) + f(S) - f(S + t) - f(S + v)] of every pair of tokens of each sample.

    S is a coalition of the other real tokens, drawn evenly, and f `coalition_value` (HBI, Jin et al. 2023, arXiv
    2303.14369, equations 3 to 5). Pairs with padding have 0. One pair at a time is worked out, for all coalitions.

    Args:
        z: (B, T, V) products of a sample's tokens with those of its own partner.
        x_logits, y_logits: (B, T), (B, V) logits of the weights.
        x_mask, y_mask: (B, T), (B, V) bool, real tokens.
        coalitions: (M, T + V) bool; of `every_coalition`, or of `random_coalitions`.

    Raises:
        ValueError: if the coalitions are of another number of players.
    """
    rows, x_count, y_count = z.shape
    if coalitions.shape[1] != x_count + y_count:
        raise ValueError(f"coalitions {coalitions.shape} are not of {x_count} + {y_count} tokens")
    in_x, in_y = jnp.split(jnp.asarray(coalitions), [x_count], axis=1)

    def mean_value(z, x_logits, y_logits, x_mask, y_mask, in_x, in_y):
        value = jax.vmap(coalition_value, (None, None, None, 0, 0))
        return jnp.mean(value(z, x_logits, y_logits, in_x & x_mask[None], in_y & y_mask[None]))

    def pair(place):
        is_t, is_v = (jnp.arange(n) == p for n, p in zip((x_count, y_count), place, strict=True))

        def corner(with_t, with_v):
            """(B,) mean value of the coalitions with or without either token."""
            members = jnp.where(is_t[None], with_t, in_x), jnp.where(is_v[None], with_v, in_y)
            each = jax.vmap(mean_value, (0, 0, 0, 0, 0, None, None))
            return each(z, x_logits, y_logits, x_mask, y_mask, *members)

        both, neither, t_alone, v_alone = jax.vmap(corner)(*CORNERS)
        return both + neither - t_alone - v_alone

    places = jnp.stack(jnp.meshgrid(jnp.arange(x_count), jnp.arange(y_count), indexing="ij"), -1).reshape(-1, 2)
    found = jax.lax.map(pair, places).T.reshape(rows, x_count, y_count)
    return jnp.where(x_mask[:, :, None] & y_mask[:, None, :], found, 0.0)


def interaction_divergence(predicted, interactions, x_mask, y_mask):
    """Mean KL of the softmax of true interactions from that of predicted ones, over v for each t and over t for each v.

    Args:
        predicted, interactions: (B, T, V); no gradient flows to the second.
        x_mask, y_mask: (B, T), (B, V) bool.

    Returns:
        () float32, the sum of both directions' means over real tokens.
    """
    goal, pairs = jax.lax.stop_gradient(interactions), x_mask[:, :, None] & y_mask[:, None, :]

    def divergence(axis):
        p, q = (masked_softmax(a, pairs, axis) for a in (goal, predicted))
        terms = jnp.where(
            pairs, p * (jnp.log(jnp.where(pairs, p, 1.0) + 1e-12) - jnp.log(jnp.where(pairs, q, 1.0) + 1e-12)), 0.0
        )
        return masked_mean(jnp.sum(terms, axis), jnp.any(pairs, axis))

    return divergence(2) + divergence(1)
