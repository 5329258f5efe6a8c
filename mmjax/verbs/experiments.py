"""Verbs about several runs: sweeps, and reports that compare them."""

from absl import flags

from mmjax.startup import start_jax
from mmjax.verbs.verb import Verb


def _sweep_flags(values) -> None:
    flags.DEFINE_string("config", None, "config file with get_config and get_sweep", flag_values=values)
    flags.DEFINE_string("workdir", None, "folder of the sweep; an interrupted one goes on", flag_values=values)
    flags.DEFINE_integer("processes", 1, "runs at once", lower_bound=1, flag_values=values)
    flags.DEFINE_bool("dry_run", False, "print the cells and what they would cost", flag_values=values)
    meaning = "a cell, or several joined by commas; may be repeated; none: all"
    flags.DEFINE_multi_string("only", None, meaning, flag_values=values)
    flags.DEFINE_list("seeds", None, "seeds joined by commas; none: all of the sweep", flag_values=values)


def _sweep(values) -> dict | None:
    if values.dry_run:  # else the devices are left to the runs
        start_jax(values)
    from mmjax.experiments.sweep import sweep

    return sweep(
        values.config,
        values.workdir,
        processes=values.processes,
        dry_run=values.dry_run,
        only=values.only or (),
        seeds=values.seeds or (),
    )


def _report_flags(values) -> None:
    meaning = "folder of a run or of a sweep; may be repeated, and written without the flag's name"
    flags.DEFINE_multi_string("workdir", None, meaning, flag_values=values)
    flags.DEFINE_integer("step", None, "of one run: step of the checkpoint; the newest by default", flag_values=values)
    meaning = "of several runs: what the others are compared with; by default what the sweep says, or the first"
    flags.DEFINE_string("baseline", "", meaning, flag_values=values)
    meaning = "of several runs: page to write, a table in Markdown beside it; by default in the first sweep's folder"
    flags.DEFINE_string("out", "", meaning, flag_values=values)


def _report(values) -> dict | None:
    start_jax(values)
    from mmjax.experiments.results import report

    return report(values.workdir, step=values.step, baseline=values.baseline, out=values.out)


EXPERIMENTS = {
    "sweep": Verb("train the cells of a config's sweep at every seed", _sweep_flags, _sweep, ("config", "workdir")),
    "report": Verb(
        "write report.html of a run again, or compare the runs of sweeps: mmjax report DIR...",
        _report_flags,
        _report,
        ("workdir",),
        "workdir",
    ),
}
