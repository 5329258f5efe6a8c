"""CSV, TSV and JSON-lines tables as sources: their columns are text fields, or name the files of a sample."""

import hashlib
import itertools
import os
from array import array
from functools import cached_property

import numpy as np

from mmjax.data.sources.files import Files, Stamp, beside, expand, is_remote, read_blocks, read_file, size_of
from mmjax.data.sources.index_cache import Arrays, cached_all
from mmjax.data.sources.lines import LONGEST, split_lines
from mmjax.data.sources.media import ending, is_media, member_name
from mmjax.data.sources.sharded import FileIndex, Layouts, ShardedSource
from mmjax.data.sources.text_rows import Csv, JsonLines, Row
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

FORM = "table 2"
# The names in use (open_clip's, Hugging Face's); another column names files if all of its first values do, but where
# files lie here, a column of addresses says where they were fetched from.
FILE_COLUMNS = ("filepath", "file_name")
ROWS_LOOKED_AT = 100
FILES_WEIGHED = 16
JSON_LINES = ("jsonl", "ndjson")


class TableSource(ShardedSource):
    """One sample a row: all columns under `json`, and a member for each column that names files.

    A file's path is one from the table's folder, an absolute one, or an address. Its member is called by its ending,
    "jpg", and where several columns name files by its column too, "left.jpg". A column of addresses beside one of files
    that lie here is left alone, unless it is called `filepath` or `file_name`. A broken row stays a sample, one that
    cannot be read. What is held in memory is 14 bytes a row.

    Args:
        pattern: as of `expand`; files named `.jsonl` or `.ndjson` are JSON lines, all others separated values.

    Raises:
        UserError: nothing matches, or a table cannot be read or has no rows.
    """

    def __init__(self, pattern: str):
        paths = expand(pattern, "csv")
        super().__init__(paths, [FileIndex.of(arrays) for arrays in cached_all(paths, FORM, build_index)])
        self._files = Files()

    def __getitem__(self, i: int) -> dict:
        """The files of row `i` as bytes by member, its fields under `json`, and its `__key__` and `__url__`.

        Raises:
            Unreadable: the row is broken, the table has changed, or a file cannot be read.
        """
        row, files = self._row(i), self._file_columns(i)
        raw = {"__key__": str(row.fields.get("key", self._name(i, row))), "__url__": self.url(i)}
        for name, value in _named(row.fields, files).items():
            raw[name] = read_file(beside(self.url(i), value))
        return raw | {"json": row.fields}

    def fields(self, i: int) -> dict:
        """The fields of row `i` and its `key`, no file read; Unreadable if the row is broken."""
        row = self._row(i)
        return {"key": self._name(i, row)} | row.fields

    def _name(self, i: int, row: Row) -> str:
        """What stands for the key of a row that has none: its line, and its table where there are several."""
        return f"line {row.line}" if len(self.paths) == 1 else f"{os.path.basename(self.url(i))}, line {row.line}"

    def _row(self, i: int) -> Row:
        number, place = self.place(i)
        path, where = self.paths[number], self.indexes[number].arrays
        start, end = where["starts"][place : place + 2].tolist()
        try:
            data = self._files.read(path, start, min(end - start, LONGEST))
        except OSError as error:
            raise Unreadable("the table cannot be read", str(error)) from error
        row = next(_parser(where).rows(split_lines([data], start, int(where["lines"][place]))), None)
        if row is None or _members(row, self._file_columns(i)) != self.members(i):
            raise Unreadable("the table has changed since it was indexed", f"byte {start}")
        if row.fault:
            raise Unreadable(row.fault, row.detail)
        return row

    def _file_columns(self, i):
        return self.indexes[self.place(i)[0]].arrays["files"].tolist()

    @cached_property
    def nbytes(self) -> int:
        """About what all samples take: the rows, and the files by the mean size of a few."""
        weighed = np.linspace(0, len(self) - 1, min(FILES_WEIGHED, len(self))).astype(int)
        rows = sum(int(index.arrays["starts"][-1]) for index in self.indexes)
        return rows + int(np.mean([self._size_of_files(i) for i in weighed.tolist()]) * len(self))

    def _size_of_files(self, i) -> int:
        try:
            named = _named(self._row(i).fields, self._file_columns(i))
            return sum(size_of(beside(self.url(i), value)) for value in named.values())
        except (Unreadable, OSError, ValueError):
            return 0


def build_index(path: str, now: Stamp) -> Arrays:
    """Where each row of a table begins and which members it has.

    Raises:
        UserError: the table cannot be read, or its column names cannot be used.
    """
    layouts, starts, lines, digest = Layouts(), array("Q"), array("I"), hashlib.sha256()
    try:
        parser = _find_parser(path, now.size)
        first = itertools.islice(parser.rows(_body(path, now.size, parser)), ROWS_LOOKED_AT)
        files = _find_file_columns([row.fields for row in first])
        for row in parser.rows(_body(path, now.size, parser, digest)):
            starts.append(row.start)
            lines.append(row.line)
            layouts.add(_members(row, files))
    except OSError as error:
        raise UserError(f"cannot read the table: {error}", where=path, remedy="check the path") from error
    return layouts.arrays(path) | {
        "starts": np.array([*starts, now.size], "u8"),
        "lines": np.array(lines, "u4"),
        "files": np.array(files, np.str_),
        "columns": np.array(parser.columns, np.str_),
        "separator": np.array(parser.separator),
        "digest": np.array(digest.hexdigest()),
    }


def _find_parser(path, size) -> Csv | JsonLines:
    header = next(split_lines(read_blocks(path, size)), None)
    return JsonLines() if ending(path) in JSON_LINES or not header else Csv.of(path, header.data)


def _parser(arrays: Arrays) -> Csv | JsonLines:
    separator = str(arrays["separator"])
    return Csv(arrays["columns"].tolist(), separator) if separator else JsonLines()


def _body(path, size, parser, digest=None):
    """The lines of a table below its column names; `digest` takes in all of them."""

    def blocks():
        for block in read_blocks(path, size):
            if digest:
                digest.update(block)
            yield block

    return itertools.islice(split_lines(blocks()), parser.header_lines, None)


def _find_file_columns(rows: list[dict]) -> list[str]:
    """The columns that name files, by the values of the first rows."""
    values: dict[str, list] = {}
    for row in rows:
        for column, value in row.items():
            if value:
                values.setdefault(column, []).append(value)
    columns = [
        column
        for column, found in values.items()
        if column in FILE_COLUMNS or all(isinstance(value, str) and is_media(value) for value in found)
    ]
    here = [column for column in columns if column in FILE_COLUMNS or not all(map(is_remote, values[column]))]
    return here or columns


def _named(fields: dict, files: list[str]) -> dict[str, str]:
    """Member name -> file, of the file columns in which a row has something with an ending."""
    values = {column: str(fields.get(column) or "") for column in files}
    return {member_name(c, ending(v), len(files) == 1): v for c, v in values.items() if ending(v)}


def _members(row: Row, files: list[str]) -> tuple[str, ...]:
    return () if row.fault else (*_named(row.fields, files), "json")
