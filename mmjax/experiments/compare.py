"""The report of several runs: one page that opens offline, and its tables as Markdown."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.experiments.charts import charts
from mmjax.experiments.comparison import (
    MEANING_OF_VERDICTS,
    difference_table,
    hash_table,
    key_table,
    markdown,
    value_table,
)
from mmjax.experiments.notes import notes
from mmjax.experiments.report import Query, template, write_page
from mmjax.experiments.study import Study, read_study

QUERIES, HITS, MOST_CELLS = 4, 5, 6


def compare(folders: Sequence[str], *, baseline: str = "", out: str = "", examples=None) -> dict:
    """Write the comparison of sweeps and runs.

    Args:
        folders: workdirs of sweeps and of single runs.
        baseline: the cell that others are compared with; empty: what the first sweep says, or the first run.
        out: the page, ending in .html; empty: report.html in the only folder, or here if there are several.
        examples: run -> retrieved pictures, a list of `Query`; None: from its newest checkpoint.

    Returns:
        {"report", "table", "runs"}: the two files, and how many runs have results.

    Raises:
        UserError: folders without runs, runs that cannot be compared, a page that cannot be written.
    """
    study = read_study(folders, baseline)
    page = Path(out or (Path(folders[0]) if len(folders) == 1 else Path()) / "report.html")
    if page.suffix != ".html":
        raise UserError(f"cannot write {page.name!r}", where="--out", remedy="end its name in .html")
    title = ", ".join(Path(folder).absolute().name for folder in folders)
    retrieved, told = _retrieved(study, examples or nearest_of)
    write_page(page, render(study, title, retrieved, told))
    write_page(page.with_suffix(".md"), markdown(study, title))
    print(markdown(study, title))
    finished = sum(not run.trouble for runs in study.cells.values() for run in runs.values())
    return {"report": str(page), "table": str(page.with_suffix(".md")), "runs": finished}


def render(study: Study, title: str, retrieved: Mapping[str, Sequence[Query]], told: Sequence[str]) -> str:
    """The page's text; `retrieved` are pictures found by each cell, `told` further notes."""
    differences = difference_table(study)
    results = sorted({k for runs in study.cells.values() for run in runs.values() for k in run.results})
    others = [k for k in results if k.startswith(("val/", "val_raw/")) and k not in study.metrics]
    return template("comparison.html").render(
        title=title,
        notes=[*notes(study), *told],
        values=value_table(study, study.metrics),
        differences=differences if differences.rows else None,
        verdicts=MEANING_OF_VERDICTS,
        others=value_table(study, others) if others else None,
        charts=charts(study),
        retrieved=retrieved,
        changes=key_table(study),
        hashes=hash_table(study),
        environment=[(k, str(v)) for k, v in config_lib.flatten(_first(study).environment)],
        sweeps=[shlex.join(command) for command in study.sweeps],
        commands=[shlex.join(command) for command in study.commands.values()],
    )


def nearest_of(run) -> list[Query]:
    """Some texts and the pictures nearest to them under a run's newest checkpoint; none without such a retrieval."""
    from mmjax.evaluation.suite import Suite, weights
    from mmjax.experiments.gallery import nearest_pictures
    from mmjax.experiments.results import pictures_and_captions
    from mmjax.training.load import load

    experiment, state = load(run.folder)
    suite = Suite(experiment)
    embeddings = suite.embeddings(weights(state)["val"])
    shown = pictures_and_captions(suite, embeddings)
    return nearest_pictures(*shown, mesh=embeddings.mesh, queries=QUERIES, k=HITS) if shown else []


def _retrieved(study: Study, examples) -> tuple[dict[str, list[Query]], list[str]]:
    """Pictures found by the first finished seed of each of some cells, and notes on those that cannot be had."""
    found, told = {}, []
    for cell in list(study.cells)[:MOST_CELLS]:
        run = next((run for run in study.cells[cell].values() if not run.trouble), None)
        try:
            queries = examples(run) if run else []
        except UserError as error:
            told.append(f"{cell}: no retrieved pictures: {error.what}")
            continue
        if queries:
            found[cell] = queries
    if found and len(study.cells) > MOST_CELLS:
        told.append(f"Retrieved pictures are shown of the first {MOST_CELLS} of {len(study.cells)} cells.")
    return found, told


def _first(study: Study):
    return next(iter(next(iter(study.cells.values())).values()))
