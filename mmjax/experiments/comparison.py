"""The tables of a study: values, differences, changed keys; as rows of text, and as Markdown."""

import math
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from mmjax.evaluation.table import ABSENT, parse_metric
from mmjax.experiments.notes import notes
from mmjax.experiments.statistics import LEAST_SEEDS, mean_sd, verdict
from mmjax.experiments.study import Study

MEANING_OF_VERDICTS = (
    "A verdict is given where the 95 % bootstrap interval of the paired differences leaves out 0, from "
    f"{LEAST_SEEDS} seeds on. With {LEAST_SEEDS} the interval is their range, so a verdict says that all seeds agree: "
    "of two equal cells, 1 comparison in 4 would by chance."
)


class Grid(NamedTuple):
    """A table of text: the first heading and the first of every row name the row."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


def value_table(study: Study, metrics: Sequence[str]) -> Grid:
    """Mean +- standard deviation over the seeds of every cell; where seeds are missing, how many there are."""
    rows = [(cell, *(value_text(study, cell, metric) for metric in metrics)) for cell in study.cells]
    return Grid("Mean ± standard deviation over seeds", ("", *map(heading, metrics)), rows)


def difference_table(study: Study) -> Grid:
    """Difference to the baseline, its 95 % interval, and the verdict."""
    others = [cell for cell in study.cells if study.baseline_of(cell)]
    rows = [(cell, *(difference_text(study, cell, metric) for metric in study.metrics)) for cell in others]
    title = f"Difference to {study.baseline}, paired by seed [95 % interval]"
    return Grid(title, ("", *map(heading, study.metrics)), rows)


def key_table(study: Study) -> Grid:
    """The config keys that differ between cells, and no others; the more numerous go down the page."""
    changed = study.changed_keys()
    columns = [("", *study.cells), *((key, *map(_key_text, values)) for key, values in changed.items())]
    headings, *rows = zip(*columns, strict=True) if len(changed) < len(study.cells) else columns
    return Grid("Config differences", tuple(headings), list(rows) if changed else [])


def hash_table(study: Study) -> Grid:
    """The hash of the newest parameters of every run."""
    seeds = sorted({seed for runs in study.cells.values() for seed in runs})
    rows = [
        (cell, *(runs[s].parameters or ABSENT if s in runs else ABSENT for s in seeds))
        for cell, runs in study.cells.items()
    ]
    return Grid("Hash of the last parameters", ("", *(f"seed {s}" for s in seeds)), rows)


def value_text(study: Study, cell: str, metric: str) -> str:
    """ "45.1 ± 0.3", in percent if the metric is a share; "(2 of 3)" behind it if a seed lacks it; a dash for none."""
    values, seeds = study.values(cell, metric), len(study.cells[cell])
    if not values:
        return ABSENT
    mean, sd = mean_sd(list(values.values()))
    spread = "" if math.isnan(sd) else f" ± {number(sd, metric) if parse_metric(metric) else format(sd, '.2g')}"
    text = number(mean, metric) + spread
    return text + f" ({len(values)} of {seeds})" * (len(values) < seeds)


def difference_text(study: Study, cell: str, metric: str) -> str:
    """ "+1.2 [+0.8, +1.6] better"; "other data" where cell and baseline were measured on different data."""
    difference = study.difference(cell, metric)
    if difference is None:
        return ABSENT if study.same_data(cell, metric) else "other data"
    mean, low, high = (number(x, metric, sign=True) for x in difference[:3])
    interval = f" [{low}, {high}]" if difference.seeds >= LEAST_SEEDS else ""
    return f"{mean}{interval} {verdict(difference, metric)}"


def number(value: float, metric: str, *, sign: bool = False) -> str:
    """A share in percent with one decimal, anything else with four digits."""
    plus = "+" if sign else ""
    return f"{100 * value:{plus}.1f}" if parse_metric(metric) else f"{value:{plus}.4g}"


def heading(metric: str) -> str:
    """A metric's name as a table shows it: "unseen: image → text R@1 %"."""
    if parsed := parse_metric(metric):
        return f"{parsed.evaluation}: {parsed.direction} {parsed.measure} %".replace(":  ", ": ")
    return metric.removeprefix("val/").replace("/", ": ", 1)


def markdown(study: Study, title: str) -> str:
    """All tables and notes, and the sweeps' commands, as one Markdown text."""
    tables = [value_table(study, study.metrics), difference_table(study), key_table(study), hash_table(study)]
    parts = [f"# {title}", *(f"- {note}" for note in notes(study))]
    for table in filter(lambda table: table.rows, tables):
        parts += [f"## {table.title}", markdown_table(table)]
        if table is tables[1]:
            parts.append(MEANING_OF_VERDICTS)
    if study.sweeps:
        parts += ["## Commands", "```\n" + "\n".join(map(shlex.join, study.sweeps)) + "\n```"]
    return "\n\n".join(parts).replace("\n\n- ", "\n- ").replace(f"# {title}\n- ", f"# {title}\n\n- ", 1) + "\n"


def markdown_table(table: Grid) -> str:
    """A Markdown table, numbers to the right."""
    escape = lambda text: text.replace("|", "\\|").replace("\n", " ")  # noqa: E731
    lines = [table.headings, ("---", *("---:" for _ in table.headings[1:])), *table.rows]
    return "\n".join("| " + " | ".join(map(escape, line)) + " |" for line in lines)


def _key_text(value) -> str:
    return value if value == "absent" else repr(value)
