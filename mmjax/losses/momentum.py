"""Contrast with what a momentum encoder says, of this batch and of a queue of earlier ones, whole and in parts."""

import jax
import jax.numpy as jnp

from mmjax.losses.anchors import BLOCK, masked_logsumexp, over_anchors
from mmjax.losses.checks import check_finite, check_present, check_rows, check_scale
from mmjax.losses.logits import logits
from mmjax.losses.masked import all_present, masked_log_softmax, masked_mean, only_present, present_pair


def momentum_contrastive(
    x,
    keys,
    scale,
    *,
    queue=None,
    queue_present=None,
    momentum_x=None,
    alpha=0.0,
    x_present=None,
    keys_present=None,
    impl="dense",
    block=BLOCK,
):
    """InfoNCE from anchors to a momentum encoder's rows and a queue of them, its targets softened by that encoder.

    L = mean_i[-sum_j t_ij log softmax_j(s x_i.k_j)],  t_i = alpha softmax_j(s m_i.k_j) + (1 - alpha) [j = i],

    j over the keys of the batch and then the queue, m_i the momentum encoder's own embedding of the anchor (TCL, Yang
    et al. 2022, arXiv 2202.10401, eq. 1 to 4, after ALBEF; with alpha = 0 MoCo's loss). One direction. No gradient
    reaches keys, queue and targets. Without a queue and with alpha = 0 it is one direction of `softmax_contrastive`.

    Args:
        x: (B, D) rows of unit norm, float32 or bfloat16; key i is the positive of row i.
        keys: (B, D) the momentum encoder's rows.
        scale: () the factor of the similarities, 1/temperature.
        queue: (N, D) earlier keys, positives of none; None: there are none.
        queue_present: (N,) bool, which of them are filled.
        momentum_x: (B, D) m; needed where alpha is not 0.
        alpha: weight of the soft targets, a number in [0, 1] or ().
        x_present, keys_present: (B,) bool; the mean is over anchors whose key is present.
        impl: "dense": all (B, B + N) similarities at once. "blockwise": those of `block` anchors at a time.
        block: anchors of a tile.

    Returns:
        () float32; 0 where no pair is present.

    Raises:
        ValueError: if shapes or values do not fit; the message names the argument.
    """
    check_scale(scale)
    if momentum_x is None:
        if isinstance(alpha, jax.core.Tracer) or alpha != 0:
            raise ValueError("alpha needs momentum_x: the momentum encoder's embeddings of the anchors")
        momentum_x = x
    _check_alpha(alpha)
    x, keys, x_present, keys_present = present_pair(x, keys, x_present, keys_present)
    momentum_x = only_present(momentum_x, x_present)
    check_rows(x=x, momentum_x=momentum_x)
    candidates, there = _with_queue(keys, keys_present, queue, queue_present)
    momentum_x, candidates, held = jax.lax.stop_gradient((momentum_x, candidates, jnp.asarray(scale, jnp.float32)))

    def per_anchor(tile):
        pairs = jnp.broadcast_to(there[None, :], (len(tile["number"]), len(there)))
        log_p = masked_log_softmax(scale * logits(tile["x"], candidates), pairs)
        soft = jnp.exp(masked_log_softmax(held * logits(tile["momentum"], candidates), pairs))
        own = jnp.arange(len(there))[None, :] == tile["number"][:, None]
        targets = jnp.where(pairs, alpha * soft + (1 - alpha) * own.astype(jnp.float32), 0.0)
        return -jnp.sum(targets * log_p, axis=1)

    rows = {"x": x, "momentum": momentum_x, "number": jnp.arange(len(x))}
    return masked_mean(over_anchors(per_anchor, rows, impl=impl, block=block), x_present & keys_present)


def local_contrastive(x, tokens, scale, *, token_mask=None, x_present=None, impl="dense", block=BLOCK):
    """InfoNCE from an anchor to each of its own parts, against those of other samples, mean over anchors.

    L = mean_i 1/T_i sum_t[-log exp(s x_i.l_it) / (exp(s x_i.l_it) + sum_{j != i, u} exp(s x_i.l_ju))]

    with the momentum encoder's parts l, patches or words, T_i of sample i (local mutual information of TCL, Yang et al.
    2022, arXiv 2202.10401, eq. 7 to 9): other parts of the same sample are no negatives. No gradient reaches the parts.

    Args:
        x: (B, D) rows of unit norm, float32 or bfloat16.
        tokens: (B, T, D) parts of unit norm.
        scale: () the factor of the similarities, 1/temperature.
        token_mask: (B, T) bool, True for real parts; None: all are.
        x_present: (B,) bool; the mean is over present samples with a part, whose parts alone are candidates.
        impl: "dense": all (B, B T) similarities at once. "blockwise": those of `block` anchors at a time.
        block: anchors of a tile.

    Returns:
        () float32; 0 where no sample counts.

    Raises:
        ValueError: if shapes or values do not fit; the message names the argument.
    """
    check_scale(scale)
    count, width = x.shape
    if tokens.ndim != 3 or (len(tokens), tokens.shape[2]) != (count, width):
        raise ValueError(f"tokens {tokens.shape} must be ({count}, T, {width}): some for each row of x {x.shape}")
    shape = tokens.shape[:2]
    if token_mask is not None and token_mask.shape != shape:
        raise ValueError(f"token_mask {token_mask.shape} must be {shape}: one for each token")
    check_present("x_present", x_present, count)
    x = only_present(x, x_present)
    check_rows(x=x)
    real = jnp.ones(shape, bool) if token_mask is None else token_mask
    real = real & all_present(x_present, count)[:, None]
    tokens = jnp.where(real[:, :, None], tokens, jnp.zeros((), tokens.dtype))
    flat = jax.lax.stop_gradient(tokens.reshape(-1, width)).astype(x.dtype)
    check_finite("tokens", flat)
    real, owner = real.reshape(-1), jnp.repeat(jnp.arange(count), shape[1])

    def per_anchor(tile):
        z = scale * logits(tile["x"], flat)
        own = (owner[None, :] == tile["number"][:, None]) & real[None, :]
        others = masked_logsumexp(z, real[None, :] & ~own, empty=-1e30)
        terms = jnp.where(own, jnp.logaddexp(z, others[:, None]) - z, 0.0)
        return jnp.sum(terms, axis=1) / jnp.maximum(jnp.sum(own, axis=1, dtype=jnp.float32), 1.0)

    rows = {"x": x, "number": jnp.arange(count)}
    counts = jnp.any(real.reshape(shape), axis=1)
    return masked_mean(over_anchors(per_anchor, rows, impl=impl, block=block), counts)


def _check_alpha(alpha) -> None:
    if not isinstance(alpha, jax.core.Tracer) and not 0 <= alpha <= 1:
        raise ValueError(f"alpha {alpha} is the weight of the soft targets: give 0 <= alpha <= 1")


def _with_queue(keys, present, queue, queue_present):
    """All candidates (B + N, D), and which of them are there."""
    if queue is None:
        return keys, present
    if queue.ndim != 2 or queue.shape[1] != keys.shape[1]:
        raise ValueError(f"queue {queue.shape} must be (N, {keys.shape[1]}), as wide as keys {keys.shape}")
    check_present("queue_present", queue_present, len(queue))
    queue = only_present(queue, queue_present)
    return jnp.concatenate([keys, queue.astype(keys.dtype)]), jnp.concatenate(
        [present, all_present(queue_present, len(queue))]
    )
