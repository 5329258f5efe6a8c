"""The closing table of a run: what was measured, beside chance and baselines, as plain text or for the report."""

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

ABSENT = "–"
SHARE = re.compile(
    r"(?:val/)?(?P<evaluation>(?:val_raw/)?[^/]+|.+)/(?:(?P<direction>[\w+/]+_to_[\w/]+)_)?"
    r"(?P<measure>R@\d+|(?:\w+_)?(?:top|acc)\d+|accuracy|mean_per_class_recall|\w+_score|auroc|fpr95|separability)"
)


class Metric(NamedTuple):
    """A metric's name taken apart: "val/unseen/image_to_text_R@1" is (unseen, image → text, R@1)."""

    evaluation: str
    direction: str
    measure: str


@dataclass(frozen=True)
class Row:
    """One line of a table: `values` are shares between 0 and 1 by column; a column left out is absent."""

    name: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Table:
    """Rows under columns. A column "R@1/chance" stands as "chance" under the heading "R@1"."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def headings(self) -> list[tuple[str, list[str]]]:
        """Each heading with the names of its columns; a column without "/" is a heading over one empty name."""
        groups = itertools.groupby(self.columns, key=lambda column: column.partition("/")[0])
        return [(heading, [column.partition("/")[2] for column in group]) for heading, group in groups]

    def cells(self) -> list[list[str]]:
        """The text of every value, a list for each row."""
        return [[percent(row.values.get(column)) for column in self.columns] for row in self.rows]


def parse_metric(name: str) -> Metric | None:
    """The parts of a metric that is a share (recall, accuracy); None for any other name, such as a loss or a rank."""
    match = SHARE.fullmatch(name)
    if not match:
        return None
    direction = (match["direction"] or "").replace("_to_", " → ")
    return Metric(match["evaluation"], direction, match["measure"])


def percent(value: float | None) -> str:
    """A share as a percentage with one decimal; an en dash where there is none."""
    return ABSENT if value is None or math.isnan(value) else f"{100 * value:.1f}"


def closing_tables(sources: Mapping[str, Mapping[str, float]]) -> list[Table]:
    """Tables with a row for each evaluation and direction, and under each measure a column for each source.

    Rows with the same measures (R@1, R@5, R@10; or top1) share a table.

    Args:
        sources: by name, in the order of columns, metrics under their full names, for example
            {"EMA": {"val/unseen/image_to_text_R@1": 0.06}, "chance": {"val/unseen/image_to_text_R@1": 0.005}}.
    """
    rows: dict[str, dict[str, float]] = {}
    for source, metrics in sources.items():
        for name, value in metrics.items():
            if metric := parse_metric(name):
                row = rows.setdefault(": ".join(filter(None, metric[:2])), {})
                row[f"{metric.measure}/{source}"] = value
    by_measures: dict[tuple[str, ...], list[Row]] = {}
    for name, values in rows.items():
        measures = tuple(dict.fromkeys(column.partition("/")[0] for column in values))
        by_measures.setdefault(measures, []).append(Row(name, values))
    return [_table(measures, sources, group) for measures, group in by_measures.items()]


def format_table(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """Aligned lines for a terminal: headings, column names, then a line for each row; values in percent."""
    table = Table(tuple(columns), tuple(rows))
    names = [column.partition("/")[2] for column in table.columns]
    body = table.cells()
    widths = [max(map(len, column)) + 2 for column in zip(names, *body, strict=True)]
    left = max((len(row.name) for row in table.rows), default=0)
    widths, top = _heading_line(table.headings(), widths)
    lines = [" " * left + top]
    if any(names):
        lines.append(" " * left + _line(names, widths))
    lines += [row.name.ljust(left) + _line(cells, widths) for row, cells in zip(table.rows, body, strict=True)]
    return "\n".join(line.rstrip() for line in lines)


def _table(measures: Iterable[str], sources: Iterable[str], rows: Sequence[Row]) -> Table:
    columns = [f"{measure}/{source}" for measure in measures for source in sources]
    return Table(tuple(c for c in columns if any(c in row.values for row in rows)), tuple(rows))


def _heading_line(headings, widths: list[int]) -> tuple[list[int], str]:
    """The line of headings, each over the right end of its columns, widened where a heading is the longer one."""
    widths, first, line = list(widths), 0, ""
    for heading, names in headings:
        last = first + len(names)
        widths[first] += max(0, len(heading) + 2 - sum(widths[first:last]))
        line += heading.rjust(sum(widths[first:last]))
        first = last
    return widths, line


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
