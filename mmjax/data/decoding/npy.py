"""Arrays of samples: `.npy` members without pickle or Python's parser, and the finite float32 that batches hold.

NumPy reads a header by `ast.literal_eval`, which is not safe with threads (seen with Python 3.11): where the garbage
collector runs Python code meanwhile (JAX's does), a sound header can fail with "AST constructor recursion depth
mismatch".
"""

import math
import re
from typing import NamedTuple

import numpy as np

from mmjax.data.unreadable import Unreadable

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


def read_npy(data: bytes) -> np.ndarray:
    """The array of an `.npy` file, a view of its bytes.

    Raises:
        Unreadable: no such file, an array of Python objects, or fewer bytes than its header says.
    """
    try:
        header = parse_npy(data)
    except ValueError as error:
        raise Unreadable("no npy array", str(error)) from error
    shape, dtype = header.shape, header.dtype
    if dtype.hasobject:
        raise Unreadable("npy array of Python objects", str(dtype))
    if header.nbytes > len(data) - header.start:
        raise Unreadable("npy array is cut off", f"{len(data)} bytes for {shape} {dtype}")
    count = math.prod(shape)
    return np.frombuffer(data, dtype, count, header.start).reshape(shape, order="F" if header.by_columns else "C")


def as_float32(array: np.ndarray, name: str) -> np.ndarray:
    """An array of any numbers as float32.

    Args:
        array: of any shape.
        name: the stream, for the message.

    Raises:
        Unreadable: it holds no numbers, or one that is not finite in float32.
    """
    if array.dtype.kind not in "biuf":
        raise Unreadable("array holds no numbers", f"{name}: {array.dtype}")
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise Unreadable("array has values that are not finite", name)
    return values
