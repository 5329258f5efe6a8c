"""What tells the transformer where a token is."""

import jax
import jax.numpy as jnp
import numpy as np


def sincos_1d(length: int, width: int) -> np.ndarray:
    """(length, width) float32: sines, then cosines, of position / 10000^(2i/width) (Vaswani et al. 2017, sec. 3.5)."""
    return _waves(np.arange(length), width)


def sincos_2d(rows: int, columns: int, width: int) -> np.ndarray:
    """(rows * columns, width) float32, row by row: half the width for the column, half for the row (MoCo v3)."""
    row, column = np.mgrid[:rows, :columns].reshape(2, -1)
    return np.concatenate([_waves(column, width // 2), _waves(row, width // 2)], axis=1)


def resize_positions(table, side: int, rows: int, columns: int):
    """A (side * side, D) learned table for a grid of (rows, columns): (rows * columns, D), bicubic and antialiased.

    At the learned size it is the table itself.
    """
    if (rows, columns) == (side, side):
        return table
    width = table.shape[-1]
    grid = table.reshape(side, side, width)
    return jax.image.resize(grid, (rows, columns, width), "cubic", antialias=True).reshape(-1, width)


def add_positions(tokens, positions):
    """tokens (B, N, D) + positions (N, D), in the dtype of the tokens."""
    return tokens + jnp.asarray(positions).astype(tokens.dtype)[None]


def _waves(positions, width: int) -> np.ndarray:
    frequencies = 10000.0 ** -(np.arange(width // 2) / (width // 2))
    angles = positions[:, None] * frequencies[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
