"""The results of a run: the closing table and report.html; the verbs eval and report."""

import json
from collections.abc import Sequence
from pathlib import Path

import jax

from mmjax.errors import UserError
from mmjax.evaluation.baselines import baselines
from mmjax.evaluation.benchmark_records import clip_benchmark_records, write_records
from mmjax.evaluation.kinds import Retrieval
from mmjax.evaluation.names import side_names
from mmjax.evaluation.suite import Suite, weights
from mmjax.evaluation.table import closing_tables, format_table
from mmjax.experiments.compare import compare
from mmjax.experiments.gallery import Pictures, nearest_pictures, similarity_sample
from mmjax.experiments.report import write_report
from mmjax.experiments.sweep import RECORD
from mmjax.training.history import read_history
from mmjax.training.load import load


def evaluate_workdir(workdir: str, *, step: int | None = None, records: str = "") -> dict:
    """Run every evaluation of a workdir's config on one of its checkpoints and print the table.

    Args:
        workdir: folder of the run.
        step: step of the checkpoint; None: the newest.
        records: folder for a file of each evaluation in CLIP_benchmark's schema; empty: none is written.

    Returns:
        {"step", "metrics", "records"}: the last in CLIP_benchmark's schema (`clip_benchmark_records`).
    """
    experiment, state = load(workdir, step=step)
    suite = Suite(experiment)
    metrics = suite.all(state)
    print("\n\n".join(format_table(t.rows, t.columns) for t in tables_of(suite, metrics)))
    about = {"model": Path(workdir).absolute().name, "pretrained": f"step {int(state.step)}"}
    written = clip_benchmark_records(suite.evaluations, metrics, **about)
    if records and not jax.process_index():
        write_records(written, records)
    return {"step": int(state.step), "metrics": metrics, "records": written}


def report(workdirs: Sequence[str], *, step: int | None = None, baseline: str = "", out: str = "") -> dict:
    """The verb report: of one run its report.html again, of sweeps or several runs a comparison.

    Raises:
        UserError: an option that the other kind of report takes.
    """
    single = len(workdirs) == 1 and not (Path(workdirs[0]) / RECORD).exists()
    misplaced = {"--baseline": baseline, "--out": out} if single else {"--step": step}
    for flag in (name for name, value in misplaced.items() if value not in (None, "")):
        what = "one run" if single else "several runs"
        raise UserError(f"{flag} means nothing for the report of {what}", remedy="leave it out")
    return report_workdir(workdirs[0], step=step) if single else compare(workdirs, baseline=baseline, out=out)


def report_workdir(workdir: str, *, step: int | None = None) -> dict:
    """Write report.html of a workdir again, from one of its checkpoints."""
    experiment, state = load(workdir, step=step)
    suite = Suite(experiment)
    path = write_results(Path(workdir), experiment, suite, state, suite.all(state))
    return {"step": int(state.step), "report": str(path)}


def write_results(workdir: Path, experiment, suite: Suite, state, metrics: dict[str, float]) -> Path:
    """Print the closing table and write report.html.

    Args:
        workdir: folder of the run.
        experiment: the built `Experiment`.
        suite: its evaluations, which have run.
        state: the state that is reported.
        metrics: results of the evaluations.
    """
    path = workdir / "report.html"
    embeddings = suite.embeddings(weights(state)["val"])
    queries, similarity = (), None
    if shown := pictures_and_captions(suite, embeddings):
        queries = nearest_pictures(*shown, mesh=embeddings.mesh)
        similarity = similarity_sample(*shown)
    if jax.process_index():
        return path
    tables = tables_of(suite, metrics)
    write_report(
        path,
        title=workdir.absolute().name,
        config=json.loads((workdir / "config.json").read_text()),
        environment=json.loads((workdir / "environment.json").read_text()),
        history=read_history(workdir),
        tables=tables,
        queries=queries,
        similarity=similarity,
        notes=[
            f"{int(state.step)} steps of {experiment.config.batch_size} examples; recalls and accuracies in percent."
        ],
    )
    print("\n\n".join(format_table(t.rows, t.columns) for t in tables))
    print(f"\nreport: {path}")
    return path


def pictures_and_captions(suite: Suite, embeddings):
    """Of the first retrieval between them: the embedded pictures, the captions, and how to show a picture; or None."""
    for evaluation in suite.evaluations.values():
        if isinstance(evaluation, Retrieval) and side_names(evaluation.streams) == ("image", "text"):
            show = Pictures(evaluation.source, embeddings.stream(evaluation.streams[0]))
            return *evaluation.sides(embeddings), show
    return None


def tables_of(suite: Suite, metrics: dict[str, float]) -> list:
    """The closing tables: the model, chance, and what is known of simple baselines on the same data."""
    sources = {"model": {k: v for k, v in metrics.items() if k.startswith("val/")}, "chance": suite.chance}
    return closing_tables(sources | baselines(suite.evaluations))
