"""The patches that a sentence speaks of (DreamLIP's grouping)."""

import jax
import jax.numpy as jnp

from mmjax.losses.tokens_scores import product


def grouping_weights(tokens, mask, sentences, *, threshold=None):
    """(B, K, P) shares of an image's tokens in each of its sentences, from cosines; they sum to 1.

    The cosines of a sentence with its own image's tokens are stretched to [0, 1] (least to greatest), those below the
    threshold set to 0, and the rest divided by their sum: DreamLIP (Zheng et al. 2024, arXiv 2403.17007, section 3.3),
    after SPARC (Bica et al. 2024, arXiv 2401.09865). At threshold 0 every token but the least counts, at 1 the best
    alone. The paper's threshold is 1 / number of tokens, its released code's default 0.

    Args:
        tokens: (B, P, D) of unit norm.
        mask: (B, P) bool, real tokens; None: all are.
        sentences: (B, K, D) of unit norm.
        threshold: from 0 to 1; None: 1 / P.

    Raises:
        ValueError: if shapes do not fit, or the threshold is not from 0 to 1.
    """
    if (
        tokens.ndim != 3
        or sentences.ndim != 3
        or (len(tokens), tokens.shape[2]) != (len(sentences), sentences.shape[2])
    ):
        raise ValueError(f"tokens {tokens.shape} and sentences {sentences.shape} must be (batch, any, width), alike")
    threshold = 1 / tokens.shape[1] if threshold is None else threshold
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}: give a number from 0 to 1")
    mask = jnp.ones(tokens.shape[:2], bool) if mask is None else mask
    there = mask[:, None, :]
    z = product(sentences, _real(tokens, mask).swapaxes(1, 2))
    least = jnp.min(jnp.where(there, z, jnp.inf), axis=2, keepdims=True)
    greatest = jnp.max(jnp.where(there, z, -jnp.inf), axis=2, keepdims=True)
    span = greatest - least
    # The best is 1 whatever the division rounds to; where all cosines are the same, all tokens count alike.
    stretched = jnp.where((z < greatest) & (span > 1e-6), (z - least) / jnp.where(span > 1e-6, span, 1.0), 1.0)
    kept = jnp.where(there & (stretched >= threshold), stretched, 0.0)
    return kept / jnp.maximum(jnp.sum(kept, axis=2, keepdims=True), 1e-6)


def sentence_groups(tokens, mask, sentences, *, threshold=None):
    """(B, K, D) of unit norm: the tokens of an image, averaged by `grouping_weights` for each of its sentences."""
    weights = grouping_weights(tokens, mask, sentences, threshold=threshold)
    groups = product(weights, _real(tokens, mask))
    return groups * jax.lax.rsqrt(jnp.sum(jnp.square(groups), axis=-1, keepdims=True) + 1e-12)


def _real(tokens, mask):
    """Float32 tokens, padding zero: what it holds must reach neither a product nor a gradient."""
    tokens = tokens.astype(jnp.float32)
    return tokens if mask is None else jnp.where(mask[:, :, None], tokens, 0.0)
