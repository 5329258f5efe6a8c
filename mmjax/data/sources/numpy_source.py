"""Arrays as a source: precomputed vectors (of an offline text tower, say) or series, one row a sample."""

import hashlib
import json
import os
import zipfile
from pathlib import Path

import numpy as np

from mmjax.data.decoding.npy import as_float32
from mmjax.data.sources.files import Files
from mmjax.data.sources.line_file import LineFile
from mmjax.data.sources.npy_rows import RowFile, open_rows
from mmjax.data.sources.row_keys import Keys
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

KEYS = "keys.txt"
LARGEST_ARCHIVE = 2**33


class NumpySource:
    """Each array gives a stream its rows, by name: `vector.npy` (N,F), `vector_2.npy`, `series.npy` (N,T,C).

    A folder may also hold text with a line for each row: `NAME.txt` is the field NAME of captions, `NAME.jsonl` has
    objects with several fields, and `keys.txt` names the samples, so that others can be joined to them. Arrays stay on
    disk; numbers of any kind come as float32.

    Args:
        path: a folder of such files, one `.npy` file or address, which is the stream "vector", or an `.npz` archive.

    Raises:
        UserError: there is no array, or they are not of one length.
    """

    def __init__(self, path: str):
        path = os.path.expanduser(path)
        names = sorted(os.listdir(path)) if os.path.isdir(path) else []
        self.paths = [path]
        self._arrays = _find_arrays(path, names)
        self._texts = {n: LineFile(os.path.join(path, n)) for n in names if n.endswith((".txt", ".jsonl"))}
        self._keys = Keys(self._texts.pop(KEYS)) if KEYS in self._texts else None
        self._count = self._one_length(path)
        for name, array in self._arrays.items():
            if array.dtype.kind not in "biuf":
                remedy = "save numbers; texts go into NAME.txt, a line each"
                raise UserError(f"the array {name!r} holds no numbers: {array.dtype}", where=path, remedy=remedy)
        self._files = Files()
        self.nbytes = sum(_size(array) for array in self._arrays.values())

    def _one_length(self, path) -> int:
        lengths = {f"{name} array": _shape(array)[0] for name, array in self._arrays.items()}
        lengths |= {name: len(lines) for name, lines in self._texts.items()}
        lengths |= {KEYS: len(self._keys.names)} if self._keys else {}
        if not self._arrays or len(set(lengths.values())) != 1 or not min(lengths.values()):
            raise UserError(
                f"arrays and texts must be there and of one length, not {lengths}",
                where=path,
                remedy="name arrays by their streams, vector.npy, vector_2.npy, and give each the same rows",
            )
        return min(lengths.values())

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> dict:
        """The arrays of row `i` by stream, float32; its texts under `json`; and its `__key__` and `__url__`.

        Raises:
            Unreadable: a file has gone or been cut off, a line is no JSON object, a value not finite in float32.
        """
        if not 0 <= i < len(self):
            raise IndexError(i)
        raw = {"__key__": self._keys.names[i].decode() if self._keys else str(i), "__url__": self.url(i)}
        try:
            for name in self._arrays:
                raw[name] = as_float32(self._row(name, i), name)
            return raw | ({"json": self._fields(i)} if self._texts else {})
        except OSError as error:
            raise Unreadable("the array or text cannot be read", str(error)) from error

    def _row(self, name, i) -> np.ndarray:
        array = self._arrays[name]
        return array.row(self._files, i) if isinstance(array, RowFile) else array[i]

    def _fields(self, i) -> dict:
        fields = {}
        for name, lines in self._texts.items():
            line = lines.line(self._files, i)
            if name.endswith(".txt"):
                fields[name.removesuffix(".txt")] = line
                continue
            try:
                fields |= json.loads(line)
            except (ValueError, TypeError, RecursionError) as error:
                raise Unreadable("row is no JSON object", f"{name}, line {i + 1}: {error}") from error
        return fields

    @property
    def has_keys(self) -> bool:
        """Whether samples are named by `keys.txt`, so that other sources can be joined to them."""
        return self._keys is not None

    def row_of(self, key: str) -> int | None:
        """The sample of that key, of a source that `has_keys`; None if there is none."""
        return self._keys.find(key)

    def members(self, i: int) -> tuple[str, ...]:
        """The streams of every sample, and "json" where there are texts."""
        return (*self._arrays, *(["json"] if self._texts else []))

    def url(self, i: int) -> str:
        """The path."""
        return self.paths[0]

    def width(self, stream: str) -> int:
        """Entries of a stream's vectors (the last axis); UserError for one that is not there."""
        if stream not in self._arrays:
            there = ", ".join(self._arrays)
            raise UserError(f"no stream {stream!r}", where=self.paths[0], remedy=f"arrays here: {there}")
        return _shape(self._arrays[stream])[-1]

    def member_counts(self) -> dict[str, int]:
        """All samples have the same."""
        return {", ".join(self.members(0)): len(self)}

    def fingerprint(self) -> str:
        """16 hexadecimal digits over names, shapes and dtypes, first and last rows, and all texts and keys."""
        digest = hashlib.sha256(b"" if self._keys is None else self._keys.names.tobytes())
        for name, lines in sorted(self._texts.items()):
            digest.update(f"{name} {lines.digest}".encode())
        for name, array in sorted(self._arrays.items()):
            digest.update(f"{name} {_shape(array)} {array.dtype}".encode())
        for i in (0, len(self) - 1):
            digest.update(b"".join(self._row(name, i).tobytes() for name in sorted(self._arrays)))
        return digest.hexdigest()[:16]


def _find_arrays(path, names) -> dict[str, RowFile | np.ndarray]:
    if path.endswith(".npz"):
        try:
            return _read_archive(path)
        except Exception as error:  # zip has many ways to be broken
            remedy = "save arrays of numbers with np.savez, or each with np.save; arrays of objects are pickles"
            raise UserError(f"cannot read the archive: {error}", where=path, remedy=remedy) from error
    if os.path.isdir(path):
        return {Path(n).stem: open_rows(os.path.join(path, n)) for n in names if n.endswith(".npy")}
    return {"vector": open_rows(path)}


def _read_archive(path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
    if size > LARGEST_ARCHIVE:
        raise ValueError(f"it unpacks to {size} bytes; .npy files stay on disk")
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def _shape(array):
    return array.shape or (0,)


def _size(array):
    return array.size if isinstance(array, RowFile) else array.nbytes
