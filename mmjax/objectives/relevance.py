"""Which tokens of one modality matter to another: attentive masking of SyCoCa (Ma et al. 2024, arXiv 2401.02137)."""

import jax
import jax.numpy as jnp


def most_relevant(tokens: str, text: str, features, *, share: float):
    """(B, N) bool: the `share` of each row's tokens with the largest products with the row's pooled text.

    The share is of all N tokens, but padding is never chosen. A choice, so no gradient flows.

    Args:
        tokens, text: names of features in the same space, such as those of a head of kind token_mean and "text".
        features: features by name.
        share: at least one token is chosen.

    Raises:
        ValueError: if there are no such features, or they have no tokens.
    """
    for name in (tokens, text):
        if name not in features:
            raise ValueError(f"no features {name!r}: relevance may name {', '.join(features)}")
    if features[tokens].tokens is None:
        raise ValueError(f"{tokens!r} has no tokens: name a head of kind 'token_mean' or 'tokens'")
    products = jax.lax.stop_gradient(jnp.einsum("bnd,bd->bn", features[tokens].tokens, features[text].pooled))
    mask = features[tokens].mask
    if mask is None:
        return highest(products, share)
    return highest(jnp.where(mask, products, -jnp.inf), share) & mask


def highest(scores, share: float):
    """(B, N) bool: the `share` of each row's highest scores (B, N), at least one; of equal ones the first.

    Raises:
        ValueError: if `share` is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}: give more than 0 and at most 1")
    count = max(1, round(share * scores.shape[1]))
    ranks = jnp.argsort(jnp.argsort(-scores, axis=1, stable=True), axis=1)
    return ranks < count
