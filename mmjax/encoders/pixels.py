"""Pixels as the network wants them."""

import jax.numpy as jnp


def normalised(x, mean: tuple, std: tuple, dtype: str):
    """Images (B, H, W, C) in `dtype`; uint8 ones as (x / 255 - mean) / std, float ones as they are."""
    if x.dtype == jnp.uint8:
        mean, std = (jnp.float32(v).reshape(1, 1, 1, -1) for v in (mean, std))
        x = (x.astype(jnp.float32) / 255 - mean) / std
    return x.astype(dtype)
