"""The header of an `.npy` file without Python's parser.

NumPy reads it by `ast.literal_eval`, which is not safe with threads (seen with Python 3.11): where the garbage
collector runs Python code meanwhile (JAX's does), a sound header can fail with "AST constructor recursion depth
mismatch".
"""

import math
import re
from typing import NamedTuple

import numpy as np

HEADERS = re.compile(
    rb"\x93NUMPY(?:\x01\x00..|[\x02\x03]\x00....)"
    rb"\{'descr': '(?P<descr>[<>|=]?[a-zA-Z?]\d*(?:\[\w+\])?)', 'fortran_order': (?P<by_columns>True|False), "
    rb"'shape': \((?P<shape>[0-9, ]*)\), *\} *\n",
    re.DOTALL,
)


class NpyHeader(NamedTuple):
    """What an `.npy` file holds.

    Attributes:
        shape, dtype: of the array.
        by_columns: whether its first axis varies fastest.
        start: byte of its first entry.
        nbytes: of the array.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    by_columns: bool
    start: int
    nbytes: int


def parse_npy(data: bytes) -> NpyHeader:
    """The header at the beginning of `data`.

    Raises:
        ValueError: it is none, has fields or is cut off. Arrays of Python objects are for the caller to refuse
            (`dtype.hasobject`).
    """
    match = HEADERS.match(data)
    if not match:
        raise ValueError("no .npy header of plain numbers or text")
    length = int.from_bytes(data[8 : 10 if data[6] == 1 else 12], "little")
    if match.end() != (10 if data[6] == 1 else 12) + length:
        raise ValueError("the header has another length than it says")
    try:
        dtype = np.dtype(match["descr"].decode())
    except TypeError as error:
        raise ValueError(f"no dtype {match['descr'].decode()!r}") from error
    shape = tuple(int(number) for number in match["shape"].replace(b" ", b"").split(b",") if number)
    return NpyHeader(shape, dtype, match["by_columns"] == b"True", match.end(), math.prod(shape) * dtype.itemsize)
