"""What tells the transformer where a token is."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.encoders.options import check_choice
from mmjax.errors import UserError


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


def stretch_positions(table, keep: int = 20, factor: int = 4):
    """A learned table (L, D) stretched to (factor * (L - keep) + keep, D): Long-CLIP's knowledge-preserving stretching.

    Zhang et al. 2024, arXiv 2403.15378, section 3.2: the first `keep` rows, which are well trained, stay; between two
    further rows there come factor - 1 on the line from one to the other, and past the last row the line goes on. CLIP's
    77 become 248.

    Raises:
        UserError: unless 0 <= keep <= L - 2 and factor >= 1.
    """
    length = len(table)
    if not 0 <= keep <= length - 2 or factor < 1:
        raise UserError(f"cannot keep {keep} of {length} positions and stretch the rest by {factor}")
    places = keep + np.arange(factor * (length - keep)) / factor
    # Past the last row: as far beyond it as the row before lies behind it.
    low = np.minimum(np.floor(places).astype(int), length - 2)
    share = jnp.asarray((places - low)[:, None], table.dtype)
    return jnp.concatenate([table[:keep], (1 - share) * table[low] + share * table[low + 1]])


def resize_frames(table, frames: int, how: str = "zeros"):
    """A learned table of temporal positions (F, D) for another number of frames: (frames, D).

    Frozen in Time (Bain et al. 2021, arXiv 2104.00650): for fewer frames the first rows; for more, with "zeros" the
    rows and then zeros, so that a video of F frames keeps its features, with "interpolate" rows spread over all
    frames, linearly between their centres.

    Raises:
        UserError: for another `how`.
    """
    check_choice("resize_frames how", how, ("zeros", "interpolate"))
    length, width = table.shape
    if frames <= length:
        return table[:frames]
    if how == "zeros":
        return jnp.pad(table, ((0, frames - length), (0, 0)))
    return jax.image.resize(table, (frames, width), "linear")


def add_positions(tokens, positions):
    """tokens (B, N, D) + positions (N, D), in the dtype of the tokens."""
    return tokens + jnp.asarray(positions).astype(tokens.dtype)[None]


def _waves(positions, width: int) -> np.ndarray:
    frequencies = 10000.0 ** -(np.arange(width // 2) / (width // 2))
    angles = positions[:, None] * frequencies[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
