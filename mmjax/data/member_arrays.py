"""Arrays from members that are whole `.npy` files: no pickle, and nothing larger than the bytes that are there."""

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
