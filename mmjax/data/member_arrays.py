"""Arrays of samples: from members that are whole `.npy` files (no pickle, and nothing larger than the bytes that are
there), and as the finite float32 that batches hold."""

import math

import numpy as np

from mmjax.data.npy_header import parse_npy
from mmjax.data.unreadable import Unreadable


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
