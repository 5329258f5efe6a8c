"""Cross-entropy of a caption's tokens over a whole vocabulary, some positions at a time."""

import functools

import jax
import jax.numpy as jnp

from mmjax.losses.logits import logits
from mmjax.losses.masked import only_present


def caption_cross_entropy(hidden, vocabulary, ids, counted, *, block: int = 0):
    """-mean log softmax_v(h_t . e_v)[y_t] over the tokens that count: a captioner's loss.

    CoCa (Yu et al. 2022, arXiv 2205.01917), equation 3, as a mean over tokens, not a sum over those of a caption, so
    that long captions weigh no more than the batch gives them.

    Args:
        hidden: (B, L, W) what predicts the token at each position, and so must not have seen it.
        vocabulary: (V, W) float32 a vector for each token.
        ids: (B, L) int32 the tokens. One past the vocabulary gives NaN.
        counted: (B, L) bool the tokens that count; others have no part in value or gradient, whatever is there.
        block: positions whose B x block x V logits are held at a time, and made again in the backward pass; 0: all.

    Returns:
        () float32, 0 where no token counts.

    Raises:
        ValueError: if shapes do not fit.
    """
    rows, length, width = hidden.shape
    if ids.shape != (rows, length) or counted.shape != (rows, length) or vocabulary.shape[1:] != (width,):
        raise ValueError(
            f"ids {ids.shape}, counted {counted.shape}, vocabulary {vocabulary.shape}: hidden {hidden.shape}"
        )
    if block < 0:
        raise ValueError(f"block is {block}: give positions, or 0 for all at once")
    hidden = only_present(hidden.reshape(rows * length, width), counted.reshape(-1)).reshape(hidden.shape)
    positions = (hidden, jnp.where(counted, ids, 0), counted)
    if not block or block >= length:
        total = _sum_of_losses(vocabulary, *positions)
    else:
        total = _sum_by_blocks(vocabulary, positions, block)
    return total / jnp.maximum(jnp.sum(counted, dtype=jnp.float32), 1.0)


def _sum_of_losses(vocabulary, hidden, ids, counted):
    """() sum over the positions that count; (B, l, W), (B, l), (B, l)."""
    z = logits(hidden.reshape(-1, hidden.shape[-1]), vocabulary)
    right = jnp.take_along_axis(z, ids.reshape(-1, 1), axis=1, mode="fill", fill_value=jnp.nan)[:, 0]
    return jnp.sum(jnp.where(counted.reshape(-1), jax.nn.logsumexp(z, axis=1) - right, 0.0))


def _sum_by_blocks(vocabulary, positions, block: int):
    """The same, `block` positions of all rows at a time, so that rows stay on their devices."""
    length = positions[0].shape[1]
    blocks = -(-length // block)

    def split(x):
        x = jnp.pad(x, ((0, 0), (0, blocks * block - length)) + ((0, 0),) * (x.ndim - 2))
        return jnp.moveaxis(x.reshape(len(x), blocks, block, *x.shape[2:]), 1, 0)

    part = jax.checkpoint(functools.partial(_sum_of_losses, vocabulary))
    total, _ = jax.lax.scan(lambda t, xs: (t + part(*xs), None), jnp.float32(0), tuple(map(split, positions)))
    return total
