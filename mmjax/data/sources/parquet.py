"""Parquet as Hugging Face writes it: pictures and recordings as struct<bytes, path> columns, all else as fields."""

import os
import threading
from collections import OrderedDict

import numpy as np

from mmjax.data.optional import optional
from mmjax.data.sources import remote
from mmjax.data.sources.files import beside, expand, is_remote, read_file
from mmjax.data.sources.index_cache import cached_all
from mmjax.data.sources.parquet_index import DAMAGE, FORM, build_index, open_parquet
from mmjax.data.sources.sharded import FileIndex, ShardedSource
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

# Of row groups that are kept decoded.
KEPT_BYTES = 2**28


class ParquetSource(ShardedSource):
    """One sample a row.

    A column of struct<bytes, path> or of bytes is a member, called by the ending of its first value, "jpg", and where
    there are several such columns by its name too, "left.jpg". A column of lists of floats gives the stream of its name
    its arrays. All other columns are fields under `json`; where the file gives names to the numbers of a column
    `label`, they are the field `label_name`. Of media that are null, only those of struct columns count as missing: a
    row whose plain bytes are null cannot be read.

    Rows are read by whole row groups, of which the last ones used are kept. Where all data takes more than that, rows
    in random order are slow unless row groups are small: write such data as tars or ArrayRecord for training.

    Args:
        pattern: as of `expand`.

    Raises:
        UserError: nothing matches, a file is no Parquet, or lacks a column of the first one.
    """

    def __init__(self, pattern: str):
        optional("pyarrow", "parquet", "a Parquet source")
        paths = expand(pattern, "parquet")
        indexes = [FileIndex.of(arrays) for arrays in cached_all(paths, FORM, build_index)]
        super().__init__(paths, indexes)
        _check_columns(paths, indexes)
        self._groups = _RowGroups()
        self.nbytes = sum(int(index.arrays["nbytes"]) for index in indexes)

    def __getitem__(self, i: int) -> dict:
        """The media of row `i` as bytes, its arrays float32, its fields under `json`, and its `__key__` and `__url__`.

        Raises:
            Unreadable: the file has gone or changed, or a file that the row names cannot be read.
        """
        number, place = self.place(i)
        path, where = self.paths[number], self.indexes[number].arrays
        group = int(np.searchsorted(where["group_ends"], place, side="right"))
        first = int(where["group_ends"][group - 1]) if group else 0
        row = self._groups.row(path, group, place - first)
        try:
            media, vectors = _media(row, where, path), _vectors(row, where)
        except DAMAGE as error:
            raise Unreadable("the file has changed since it was indexed", f"{path}, row {place}: {error}") from error
        if lacking := set(self.members(i)) - {*media, *where["vectors"].tolist(), "json"}:
            raise Unreadable("a medium is null", f"{path}, row {place}, {min(lacking)}")
        name = f"row {place}" if len(self.paths) == 1 else f"{os.path.basename(path)}, row {place}"
        key = row.get("__key__") or row.get("key") or name
        return {"__key__": str(key), "__url__": path} | media | vectors | {"json": row | _label_names(row, where)}

    def width(self, stream: str) -> int:
        """Entries of the first row's array; UserError if no column of lists of floats has that name."""
        columns = self.indexes[0].arrays["vectors"].tolist()
        if stream not in columns:
            remedy = f"columns of lists of floats here: {', '.join(columns) or 'none'}"
            raise UserError(f"no column {stream!r} of vectors", where=self.paths[0], remedy=remedy)
        return int(self.indexes[0].arrays["widths"][columns.index(stream)])


def _check_columns(paths, indexes):
    wanted = indexes[0].arrays["columns"].tolist()
    for path, index in zip(paths, indexes, strict=True):
        there = index.arrays["columns"].tolist()
        if lacking := [column for column in wanted if column not in there]:
            raise UserError(
                f"no column {lacking[0]!r}",
                where=f"{path} (columns there: {', '.join(there)})",
                remedy=f"give all files the columns of {paths[0]}, or leave this one out",
            )


def _media(row, where, path) -> dict[str, bytes]:
    """Takes the media out of a row."""
    raw = {}
    for column, name in zip(where["media"].tolist(), where["media_names"].tolist(), strict=True):
        value = row.pop(column)
        if isinstance(value, bytes):
            raw[name] = value
        elif value is not None and value["bytes"] is not None:
            raw[name] = value["bytes"]
        elif value is not None and value["path"] is not None:
            raw[name] = read_file(beside(path, value["path"]))
    return raw


def _vectors(row, where) -> dict[str, np.ndarray]:
    """Takes the arrays out of a row; null ones are left out."""
    found = {column: row.pop(column) for column in where["vectors"].tolist()}
    return {column: np.array(value, np.float32) for column, value in found.items() if value is not None}


def _label_names(row, where) -> dict[str, str]:
    names = {}
    for column, known in zip(where["labels"].tolist(), where["label_names"].tolist(), strict=True):
        texts, number = known.split("\n"), row.get(column)
        if isinstance(number, int) and 0 <= number < len(texts):
            names[f"{column}_name"] = texts[number]
    return names


class _RowGroups:
    """The row groups used last, decoded, KEPT_BYTES of them; one is read at a time, by as many threads as Arrow has."""

    def __init__(self):
        self._lock, self._kept, self._bytes = threading.Lock(), OrderedDict(), 0

    def row(self, path: str, group: int, row: int) -> dict:
        """The values of a row by column; Unreadable if it cannot be read."""
        with self._lock:
            table = self._kept.pop((path, group), None)
            if table is None:
                table = self._read(path, group)
                self._bytes += table.nbytes
            self._kept[path, group] = table
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        try:
            return table.slice(row, 1).to_pylist()[0]
        except IndexError as error:
            raise Unreadable("the file has changed since it was indexed", f"{path}, row group {group}") from error
        except DAMAGE as error:
            raise Unreadable("the row cannot be read", f"{path}, row group {group}, row {row}: {error}") from error

    def _read(self, path, group):
        def read():
            with open_parquet(path) as file:
                return file.read_row_group(group)

        try:
            return remote.retried(read) if is_remote(path) else read()
        except DAMAGE as error:
            raise Unreadable("the file cannot be read", f"{path}: {error}") from error

    def __reduce__(self):
        return _RowGroups, ()
