"""Tokens merged into fewer by where they are dense (DPC-kNN), as HBI does between its levels."""

import jax
import jax.numpy as jnp

FAR = 1e4


def merge_tokens(tokens, mask, scores, count: int, *, neighbours: int = 3):
    """The tokens of each row merged into `count` clusters, each the mean of its tokens weighted by exp(score).

    Centres are the tokens that are densest among their nearest and farthest from any denser one; every other token goes
    to the nearest centre (density peaks, Rodriguez & Laio 2014; with k nearest neighbours, Du et al. 2016; for tokens,
    TCFormer, Zeng et al. 2022, arXiv 2204.08680, section 3.2). Who goes where has no gradient.

    Args:
        tokens: (B, T, D).
        mask: (B, T) bool, real tokens.
        scores: (B, T) float32.
        count: clusters, at most T.
        neighbours: of which the mean square distance says how dense it is, the token itself among them.

    Returns:
        (B, count, D) float32 and (B, count) bool, the clusters that have a token, of few tokens as many.

    Raises:
        ValueError: if `count` is not from 1 to T.
    """
    if not 1 <= count <= tokens.shape[1]:
        raise ValueError(f"{tokens.shape[1]} tokens cannot be merged into {count}")
    tokens = jnp.where(mask[:, :, None], tokens.astype(jnp.float32), 0.0)
    cluster = jax.lax.stop_gradient(jax.vmap(lambda x, m: _clusters(x, m, count, neighbours))(tokens, mask))
    belongs = (cluster[:, :, None] == jnp.arange(count)[None, None, :]) & mask[:, :, None]
    top = jax.lax.stop_gradient(jnp.max(jnp.where(mask, scores, -FAR), axis=1, keepdims=True))
    weights = jnp.where(belongs, jnp.exp(jnp.where(mask, scores - top, 0.0))[:, :, None], 0.0)
    weights = weights / jnp.maximum(jnp.sum(weights, axis=1, keepdims=True), 1e-9)
    merged = jnp.einsum("btk,btd->bkd", weights, tokens, precision=jax.lax.Precision.HIGHEST)
    return merged, jnp.any(belongs, axis=1)


def _clusters(x, mask, count: int, neighbours: int):
    """(T,) number of the cluster of each token of one row x (T, D), mask (T,)."""
    distance = jnp.sqrt(jnp.sum(jnp.square(x[:, None] - x[None, :]), axis=-1) / x.shape[1])
    distance = jnp.where(mask[None, :] & mask[:, None], distance, FAR)
    nearest = jnp.sort(distance, axis=1)[:, : min(neighbours, len(x))]
    density = jnp.where(mask, jnp.exp(-jnp.mean(jnp.square(jnp.minimum(nearest, FAR)), axis=1)), -1.0)
    # Among equally dense tokens the first is the denser one, so that of several in one place one is a centre.
    place = jnp.arange(len(x))
    denser = (density[None, :] > density[:, None]) | (
        (density[None, :] == density[:, None]) & (place[None] < place[:, None])
    )
    farthest = jnp.max(jnp.where(mask[None, :] & mask[:, None], distance, 0.0))
    apart = jnp.min(jnp.where(denser & mask[None, :], distance, jnp.maximum(farthest, 1e-9)), axis=1)
    centres = jax.lax.top_k(jnp.where(mask, apart * density, -1.0), count)[1]
    found = jnp.where(mask[centres][None, :], distance[:, centres], 2 * FAR)
    # A centre is its own, also where another lies in the same place.
    return jnp.argmin(found, axis=1).at[centres].set(jnp.arange(count))
