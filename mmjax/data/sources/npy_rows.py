"""Rows of `.npy` files without mapping or loading them: a file that is cut off fails one row, not the process."""

import math
from typing import NamedTuple

import numpy as np

from mmjax.data.decoding.npy import parse_npy
from mmjax.data.sources.files import Files, stamp
from mmjax.errors import UserError

LONGEST_HEADER = 2**16


class RowFile(NamedTuple):
    """An array (N, ...) in a `.npy` file.

    Attributes:
        path: path or address.
        offset: byte of its first entry.
        shape: its shape.
        dtype: its dtype.
        size: bytes of the whole file.
        date: its date or version.
    """

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    size: int
    date: str

    def row(self, files: Files, i: int) -> np.ndarray:
        """Row `i`, shape[1:]; OSError if the file has gone or been cut off."""
        count = math.prod(self.shape[1:]) * self.dtype.itemsize
        data = files.read(self.path, self.offset + i * count, count)
        if len(data) < count:
            raise OSError(f"{self.path} ends within row {i}")
        return np.frombuffer(data, self.dtype).reshape(self.shape[1:])


def open_rows(path: str) -> RowFile:
    """The header of a `.npy` file.

    Raises:
        UserError: no such file, none of this format, cut off, or an array of objects (a pickle) or by columns.
    """
    now = stamp(path)
    try:
        header = parse_npy(Files().read(path, 0, min(LONGEST_HEADER, now.size)))
    except (OSError, ValueError) as error:
        raise UserError(f"not a .npy file: {error}", where=path, remedy="write it with np.save") from error
    shape, dtype = header.shape, header.dtype
    if dtype.hasobject:
        raise UserError("an array of objects, which is a pickle", where=path, remedy="save numbers or text") from None
    if header.by_columns and len(shape) > 1:
        raise UserError("an array stored by columns", where=path, remedy="save np.ascontiguousarray(array)")
    if not shape or now.size < header.start + header.nbytes:
        raise UserError(f"shape {shape} does not fit {now.size} bytes", where=path, remedy="write the file again")
    return RowFile(path, header.start, shape, dtype, now.size, now.date)
