"""Rows of CSV, TSV and JSON-lines files, each with the byte and the line at which it begins; broken ones are kept."""

import csv
import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mmjax.data.sources.lines import Line
from mmjax.errors import UserError

BOM = b"\xef\xbb\xbf"


class Row(NamedTuple):
    """One row: where it begins, its fields by column, and if it is broken why (`fields` is empty then)."""

    start: int
    line: int
    fields: dict
    fault: str = ""
    detail: str = ""


class JsonLines:
    """One JSON object a line; empty lines are passed over."""

    header_lines, columns, separator = 0, (), ""

    def rows(self, lines: Iterable[Line]) -> Iterator[Row]:
        """Every row of `lines`."""
        for start, number, data in lines:
            if not data.strip():
                continue
            try:
                fields = json.loads(data.removeprefix(BOM))
                if not isinstance(fields, dict):
                    raise ValueError(f"a {type(fields).__name__}")
                yield Row(start, number, fields)
            except UnicodeDecodeError as error:
                yield Row(start, number, {}, "row is not UTF-8", f"line {number}: {error}")
            except (ValueError, RecursionError) as error:
                yield Row(start, number, {}, "row is no JSON object", f"line {number}: {error}")


class Csv:
    """Separated values, quoted by `"` where they hold separators or line breaks, below a line of column names.

    Args:
        columns: their names.
        separator: one character.
    """

    header_lines = 1

    def __init__(self, columns: list[str], separator: str):
        self.columns, self.separator = columns, separator

    @classmethod
    def of(cls, path: str, header: bytes) -> "Csv":
        """From the first line: tabs separate if it has any, else whichever it has most of commas, semicolons and bars.

        Raises:
            UserError: it is not UTF-8 or no CSV, or a column is there twice.
        """
        try:
            text = header.removeprefix(BOM).decode().rstrip("\r\n")
            separator = "\t" if "\t" in text else max(",;|", key=text.count)
            columns = next(csv.reader([text], delimiter=separator), [])
        except UnicodeDecodeError as error:
            raise UserError("the column names are not UTF-8", where=path, remedy="save the table as UTF-8") from error
        except csv.Error as error:
            what, remedy = f"the column names are no CSV: {error}", "begin the table with a line of names"
            raise UserError(what, where=f"{path}, line 1", remedy=remedy) from error
        if repeated := {name for name in columns if columns.count(name) > 1}:
            what = f"the column {min(repeated)!r} is there twice"
            raise UserError(what, where=f"{path}, line 1", remedy="begin the table with a line of different names")
        return cls(columns, separator)

    def rows(self, lines: Iterable[Line]) -> Iterator[Row]:
        """Every row of `lines`, which begin after the column names. A broken one ends with its first line."""
        feed = _Feed(lines)
        while True:
            feed.begin()
            try:
                # Strict: otherwise a quote that is never closed takes the rest of the file into one field.
                values = next(csv.reader(feed, delimiter=self.separator, strict=True))
                fault, detail = self._fault(values, feed)
            except StopIteration:
                return
            except csv.Error as error:
                values, fault, detail = [], "row is no CSV", str(error)
            if fault:
                feed.keep_first()
            elif not values:
                continue
            start, number, _ = feed.taken[0]
            fields = {} if fault else dict(zip(self.columns, values, strict=True))
            yield Row(start, number, fields, fault, f"line {number}: {detail}" if fault else "")

    def _fault(self, values, feed) -> tuple[str, str]:
        if feed.broken:
            return "row is not UTF-8", feed.broken
        if values and len(values) != len(self.columns):
            return "row has the wrong number of fields", f"{len(values)}, not {len(self.columns)}"
        if self.separator == "\t" and any("\t" in value and "\n" in value for value in values):
            return "row is no CSV", "a quote is not closed in its line"
        return "", ""


class _Feed:
    """Lines as text for `csv.reader`; remembers those of the current row, so that they can be read again."""

    def __init__(self, lines):
        self._lines, self._again = iter(lines), deque()
        self.taken: list[Line] = []
        self.broken = ""

    def begin(self):
        self.taken, self.broken = [], ""

    def keep_first(self):
        self._again.extendleft(reversed(self.taken[1:]))

    def __iter__(self):
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        try:
            return line.data.decode()
        except UnicodeDecodeError as error:
            self.broken = str(error)
            return line.data.decode(errors="replace")
