"""Charts of a study, as SVG in data URIs: curves with bands over seeds, bars with whiskers."""

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np

from mmjax.evaluation.table import parse_metric
from mmjax.experiments.cells import numeric_axis
from mmjax.experiments.comparison import heading
from mmjax.experiments.report import COLOURS, DASHES, INK, empty_chart, finish_chart
from mmjax.experiments.statistics import mean_sd
from mmjax.experiments.study import Study

RECALL = re.compile(r"R@\d+")
WIDE = 8  # a swept number that grows by more than this is drawn on a logarithmic axis
GEOMETRY = re.compile(r"modality_gap|.*hub.*|.*skew.*|.*uniformity|alignment|.*effective_rank|.*anisotropy", re.I)


class Band(NamedTuple):
    """Mean and standard deviation (0 of one seed) at training steps."""

    steps: list[int]
    means: np.ndarray
    deviations: np.ndarray


def charts(study: Study) -> list[tuple[str, str]]:
    """Title and data URI of everything that there is to draw: curves, recalls, geometry."""
    curves = [(heading(m), draw_curves(study, m)) for m in ("train/loss", *study.metrics) if _has_curve(study, m)]
    names = dict.fromkeys(k for runs in study.cells.values() for run in runs.values() for k in run.results)
    results = [name for name in names if name.startswith("val/")]
    groups: dict[str, list[str]] = {}
    for name in results:
        metric = parse_metric(name)
        if metric and RECALL.fullmatch(metric.measure):
            groups.setdefault(": ".join(filter(None, metric[:2])), []).append(name)
        elif GEOMETRY.fullmatch(name.rsplit("/", 1)[-1]):
            groups[heading(name)] = [name]
    bars = [(title, draw_bars(study, metrics)) for title, metrics in groups.items()]
    axis = numeric_axis(list(study.cells))
    over = [(f"{heading(m)} over {axis[0]}", draw_over(study, m, *axis)) for m in study.metrics] if axis else []
    return over + curves + bars


def band(study: Study, cell: str, metric: str) -> Band:
    """The curve of a metric over the finished runs of a cell; at each step, over the seeds that have a value there."""
    found: dict[int, list[float]] = {}
    for run in study.cells[cell].values():
        for row in () if run.trouble else run.history:
            if np.isfinite(row.get(metric, np.nan)):
                found.setdefault(row["step"], []).append(row[metric])
    steps = sorted(found)
    pairs = np.array([mean_sd(found[step]) for step in steps]).reshape(-1, 2)
    return Band(steps, pairs[:, 0], np.nan_to_num(pairs[:, 1]))


def draw_curves(study: Study, metric: str) -> str:
    """A line for each cell over training steps, with a band of one standard deviation on either side."""
    share = parse_metric(metric) is not None
    figure, axes = empty_chart(len(study.cells))
    for cell, look in _looks(study.cells).items():
        curve = band(study, cell, metric)
        means, deviations = (values * (100 if share else 1) for values in (curve.means, curve.deviations))
        axes.plot(curve.steps, means, linewidth=1.4, label=cell, marker="o" if len(means) == 1 else "", **look)
        axes.fill_between(
            curve.steps, means - deviations, means + deviations, color=look["color"], alpha=0.2, linewidth=0
        )
    axes.set_xlabel("step", color=INK)
    finish_chart(figure, axes, legend=len(study.cells) > 1, percent=share)
    return _svg(figure)


def draw_over(study: Study, metric: str, key: str, lines: Mapping[str, Mapping[float, str]]) -> str:
    """A metric over the values of a swept number, with whiskers: a line for each of the other settings."""
    share = parse_metric(metric) is not None
    figure, axes = empty_chart(len(lines))
    for (label, cells), look in zip(lines.items(), _looks(lines).values(), strict=True):
        found = {value: list(study.values(cell, metric).values()) for value, cell in sorted(cells.items())}
        pairs = np.array([mean_sd(v) if v else (np.nan, np.nan) for v in found.values()]) * (100 if share else 1)
        axes.errorbar(list(found), pairs[:, 0], np.nan_to_num(pairs[:, 1]), marker="o", capsize=2, label=label, **look)
    values = sorted({value for cells in lines.values() for value in cells})
    if values[0] > 0 and values[-1] / values[0] > WIDE:
        axes.set_xscale("log")
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
    axes.set_xlabel(key, color=INK)
    finish_chart(figure, axes, legend=len(lines) > 1, percent=share)
    return _svg(figure)


def draw_bars(study: Study, metrics: Sequence[str]) -> str:
    """A group of bars for each metric, a bar for each cell; whiskers of one standard deviation."""
    parsed = [parse_metric(metric) for metric in metrics]
    share = parsed[0] is not None
    figure, axes = empty_chart(len(study.cells))
    width = 0.8 / len(study.cells)
    for number, (cell, look) in enumerate(_looks(study.cells).items()):
        values = [list(study.values(cell, metric).values()) for metric in metrics]
        pairs = np.array([mean_sd(v) if v else (np.nan, np.nan) for v in values]) * (100 if share else 1)
        places = np.arange(len(metrics)) + (number - (len(study.cells) - 1) / 2) * width
        hatch = {"-": "", "--": "//", ":": "..", "-.": "xx"}[look["linestyle"]]
        axes.bar(places, pairs[:, 0], 0.9 * width, color=look["color"], hatch=hatch, edgecolor="white", linewidth=0)
        axes.errorbar(places, pairs[:, 0], np.nan_to_num(pairs[:, 1]), fmt="none", ecolor=INK, elinewidth=1)
        axes.bar([0], [np.nan], color=look["color"], hatch=hatch, edgecolor="white", linewidth=0, label=cell)
    axes.set_xticks(range(len(metrics)), [m.measure for m in parsed] if share else [""])
    finish_chart(figure, axes, legend=len(study.cells) > 1, percent=share)
    return _svg(figure)


def _has_curve(study: Study, metric: str) -> bool:
    return any(len(band(study, cell, metric).steps) > 1 for cell in study.cells)


def _looks(names: Iterable[str]) -> dict[str, dict]:
    """Colour and dashes of every name, the same in all charts of the same names."""
    count = len(COLOURS)
    return {
        name: {"color": COLOURS[i % count], "linestyle": DASHES[i // count % len(DASHES)]}
        for i, name in enumerate(names)
    }


def _svg(figure) -> str:
    """The figure as a data URI, its letters as shapes; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "mmjax", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
