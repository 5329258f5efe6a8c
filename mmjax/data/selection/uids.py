"""Files of sample uids as DataComp has them (Gadre et al. 2023, arXiv 2304.14108): which of a pool a subset keeps."""

import numpy as np

from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

PAIR = np.dtype("u8,u8")
DIGITS = 32


def load_uids(path: str) -> np.ndarray:
    """The sorted uids of a `.npy` file of dtype "u8,u8", the upper and the lower 16 hexadecimal digits of each, or of
    a text of one uid a line.

    Raises:
        UserError: it cannot be read, or holds something else.
    """
    try:
        uids = _of_array(path) if path.endswith(".npy") else _of_text(path)
    except (OSError, ValueError, EOFError) as error:
        remedy = 'give a .npy of dtype "u8,u8", as DataComp\'s filters write it, or a text of one uid a line'
        raise UserError(f"cannot read the uids: {error}", where=path, remedy=remedy) from error
    return uids if is_sorted(uids) else np.sort(uids)


def _of_array(path):
    uids = np.load(path, mmap_mode="r", allow_pickle=False)
    if uids.ndim != 1 or uids.dtype.fields is None or [uids.dtype[n] for n in range(len(uids.dtype))] != ["u8", "u8"]:
        raise ValueError(f"an array {uids.shape} of {uids.dtype}")
    return uids.view(PAIR)


def _of_text(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    try:
        return np.array([parse_uid(line) for line in lines if line], PAIR)
    except Unreadable as fault:
        raise ValueError(fault.detail) from fault


def is_sorted(uids: np.ndarray) -> bool:
    """Whether pairs are in order, the first number before the second."""
    high, low = (uids[name] for name in PAIR.names)
    return bool(((high[:-1] < high[1:]) | ((high[:-1] == high[1:]) & (low[:-1] <= low[1:]))).all())


def parse_uid(text: str) -> tuple[int, int]:
    """The pair of a uid of 32 hexadecimal digits; Unreadable if it is none."""
    try:
        if len(text) != DIGITS:
            raise ValueError(f"{len(text)} characters")
        return int(text[:16], 16), int(text[16:], 16)
    except (TypeError, ValueError) as error:
        raise Unreadable("uid is not 32 hexadecimal digits", f"{text!r}: {error}") from error


def contains(uids: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Which of `pairs` (N,) are among the sorted `uids`, (N,) bool; both of dtype "u8,u8"."""
    places = np.searchsorted(uids, pairs)
    inside = places < len(uids)
    inside[inside] = uids[places[inside]] == pairs[inside]
    return inside
