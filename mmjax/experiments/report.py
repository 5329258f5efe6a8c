"""report.html: a finished run on one page that needs no other file."""

import base64
import io
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jinja2
import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from mmjax.config import flatten
from mmjax.errors import UserError
from mmjax.evaluation.table import Metric, Table, parse_metric

TRAINING = {
    "Training loss": r"(train/)?loss",
    "Learning rate": r"(train/)?(lr|learning_rate)",
    "Logit scale": r"(train/)?(.+/)?logit_scale",
}
COLOURS = ("#3b82f6", "#e8853a", "#27a567", "#a259d9", "#d94f70", "#159fb3")
DASHES = ("-", "--", ":", "-.")
INK = "#7d8590"  # axes and letters of charts: legible on white and on black, for the page follows the reader's theme
THUMBNAIL = 96


@dataclass(frozen=True)
class Hit:
    """A retrieved picture (H, W, 3) uint8, its caption, and whether it is right."""

    picture: np.ndarray
    caption: str
    correct: bool


@dataclass(frozen=True)
class Query:
    """A text and the pictures nearest to it, nearest first."""

    text: str
    hits: Sequence[Hit]


@dataclass(frozen=True)
class Similarity:
    """Cosines (n, m) of n pictures, each (H, W, 3) uint8, in the rows and m texts in the columns."""

    matrix: np.ndarray
    pictures: Sequence[np.ndarray]
    texts: Sequence[str]


class Line(NamedTuple):
    """A curve: its values at training steps, and how it is drawn."""

    label: str
    steps: list[int]
    values: list[float]
    colour: str
    dashes: str = "-"


class Panel(NamedTuple):
    """A chart. Percentages start at 0, so that heights can be compared."""

    title: str
    lines: list[Line]
    percent: bool = False


def write_report(
    path: str | Path,
    *,
    title: str,
    config: Mapping,
    environment: Mapping,
    history: Sequence[Mapping],
    tables: Sequence[Table] = (),
    queries: Sequence[Query] = (),
    similarity: Similarity | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write one self-contained HTML file; the same arguments give the same bytes.

    Args:
        path: the file; it is replaced whole or not at all.
        title: the heading.
        config: the resolved config, nested.
        environment: versions, devices and the like, nested.
        history: rows of metrics.jsonl, {"step": int, metric: value, ...}, in order.
        tables: what `closing_tables` gives; empty if nothing was evaluated.
        queries: texts with their nearest pictures.
        similarity: cosines of a sample of pictures and texts.
        notes: sentences for the top of the page.

    Raises:
        UserError: the file cannot be written.
    """
    page = template("report.html").render(
        title=title,
        notes=notes,
        tables=tables,
        charts=[(panel.title, draw(panel)) for panel in panels(history)],
        queries=queries,
        similarity=similarity,
        cells=heat(similarity.matrix) if similarity else (),
        config=[(key, repr(value)) for key, value in flatten(config)],
        environment=[(key, str(value)) for key, value in flatten(environment)],
    )
    write_page(Path(path), page)


def write_page(path: Path, page: str) -> None:
    """Replace a file whole or not at all; UserError if it cannot be written."""
    unfinished = path.with_name(path.name + ".tmp")
    try:
        unfinished.write_text(page, encoding="utf-8")
        os.replace(unfinished, path)
    except OSError as error:
        raise UserError(
            f"the report cannot be written: {error.strerror}",
            where=str(path),
            remedy="free space or make the folder writable",
        ) from error


def panels(history: Sequence[Mapping]) -> list[Panel]:
    """The charts that the rows of a history allow: training first, then one for each evaluation."""
    names = dict.fromkeys(name for row in history for name in row)
    charts = []
    for title, pattern in TRAINING.items():
        found = [name for name in names if re.fullmatch(pattern, name)]
        lines = [Line(n, *_series(history, n), COLOURS[i % len(COLOURS)]) for i, n in enumerate(found)]
        charts += [Panel(title, lines)] * bool(lines)
    metrics = {name: metric for name in names if (metric := parse_metric(name))}
    for evaluation in dict.fromkeys(metric.evaluation for metric in metrics.values()):
        own = {name: metric for name, metric in metrics.items() if metric.evaluation == evaluation}
        charts.append(Panel(evaluation, _evaluation_lines(history, own), percent=True))
    return charts


def draw(panel: Panel) -> str:
    """A panel as the data URI of a PNG with a transparent background."""
    figure, axes = empty_chart(len(panel.lines))
    for label, steps, values, colour, dashes in panel.lines:
        # A single point leaves no line to see.
        marker = "o" if len(steps) == 1 else ""
        axes.plot(steps, values, color=colour, linestyle=dashes, marker=marker, linewidth=1.4, label=label)
    axes.set_xlabel("step", color=INK)
    finish_chart(figure, axes, legend=len(panel.lines) > 1, percent=panel.percent)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", transparent=True)
    return _png_uri(buffer.getvalue())


def empty_chart(entries: int):
    """(figure, axes) of a chart whose legend has so many entries."""
    height = 3.1 + 0.15 * max(0, math.ceil(entries / 2) - 4)  # so that a long legend leaves the axes their room
    figure = Figure(figsize=(4.6, height), dpi=180, layout="constrained")
    return figure, figure.add_subplot()


def finish_chart(figure, axes, *, legend: bool, percent: bool) -> None:
    """The looks of a chart, once it is drawn."""
    axes.ticklabel_format(axis="y", scilimits=(-2, 4))
    axes.yaxis.offsetText.set_color(INK)
    axes.tick_params(colors=INK, labelsize=8)
    axes.grid(color=INK, alpha=0.2, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(INK)
    if percent:
        axes.set_ylabel("%", color=INK)
        axes.set_ylim(bottom=0)
    if legend:
        figure.legend(frameon=False, labelcolor=INK, fontsize=7, ncols=2, loc="outside lower center")


def heat(matrix: np.ndarray) -> list[list[tuple[str, str]]]:
    """The text and the colour of every cell of a (n, m) matrix, the smallest value darkest."""
    low, high = matrix.min(), matrix.max()
    shades = matplotlib.colormaps["viridis"]((matrix - low) / max(high - low, 1e-12))
    return [
        [(f"{value:.2f}", to_hex(shade)) for value, shade in zip(values, row, strict=True)]
        for values, row in zip(matrix, shades, strict=True)
    ]


def picture_uri(picture: np.ndarray) -> str:
    """A picture (H, W, 3) uint8, shrunk to a thumbnail if it is larger, as the data URI of a PNG."""
    image = Image.fromarray(picture)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, format="png")
    return _png_uri(buffer.getvalue())


def _evaluation_lines(history: Sequence[Mapping], metrics: Mapping[str, Metric]) -> list[Line]:
    """The curves of one evaluation: a colour for each measure, dashes for each direction."""
    measures = list(dict.fromkeys(m.measure for m in metrics.values()))
    directions = list(dict.fromkeys(m.direction for m in metrics.values()))
    lines = []
    for name, metric in metrics.items():
        colour = COLOURS[measures.index(metric.measure) % len(COLOURS)]
        dashes = DASHES[directions.index(metric.direction) % len(DASHES)]
        steps, shares = _series(history, name)
        label = f"{metric.direction} {metric.measure}".strip()
        lines.append(Line(label, steps, [100 * share for share in shares], colour, dashes))
    return lines


def _series(history: Sequence[Mapping], name: str) -> tuple[list[int], list[float]]:
    rows = [row for row in history if name in row]
    return [row["step"] for row in rows], [row[name] for row in rows]


def _png_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def template(name: str) -> jinja2.Template:
    """A page of this folder, to be filled: text is never markup, a name that is not given is an error."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["picture"] = picture_uri
    return environment.get_template(name)
