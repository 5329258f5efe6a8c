"""SpecAugment: bands of time and of frequency left out (Park et al. 2019, arXiv 1904.08779), by example."""

import jax
import jax.numpy as jnp

from mmjax.encoders.layers import keys_for


def spec_augment(x, keys, lengths, *, time_masks: int, time_mask: int, freq_masks: int, freq_mask: int):
    """Spectrograms with random bands set to 0, which is their mean once they are normalised; no time warping.

    A band's width is uniform over 0 .. its limit, and its place uniform over where it fits.

    Args:
        x: (B, T, M), normalised.
        keys: (B,) per-example keys.
        lengths: (B,) int32, number of real frames: bands of time lie among them.
        time_masks, freq_masks: number of bands.
        time_mask, freq_mask: greatest width of a band, in frames and in mel bands.
    """
    mels = jnp.full(lengths.shape, x.shape[2], jnp.int32)
    for i in range(time_masks):
        x = jnp.where(_bands(keys_for(keys, f"time_mask_{i}"), time_mask, lengths, x.shape[1])[:, :, None], 0, x)
    for i in range(freq_masks):
        x = jnp.where(_bands(keys_for(keys, f"freq_mask_{i}"), freq_mask, mels, x.shape[2])[:, None, :], 0, x)
    return x


def _bands(keys, greatest: int, lengths, size: int):
    """(B, size) bool, True in one random band within the first `lengths` (B,) places of each row."""

    def band(key, length):
        for_width, for_start = jax.random.split(key)
        width = jax.random.randint(for_width, (), 0, jnp.minimum(greatest, length) + 1)
        start = jax.random.randint(for_start, (), 0, length - width + 1)
        places = jnp.arange(size)
        return (places >= start) & (places < start + width)

    return jax.vmap(band)(keys, lengths)
