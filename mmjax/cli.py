"""The command line: parse, call, print. Logic lives elsewhere, and JAX is imported only once a verb runs."""

import json
import logging
import os
import sys
from collections.abc import Callable
from typing import NamedTuple

from absl import flags

from mmjax.command_line import define_config, parse
from mmjax.errors import UserError


class Verb(NamedTuple):
    """One verb: what it does, its flags, the function that does it, and which flags must be given."""

    summary: str
    define: Callable[[flags.FlagValues], None]
    run: Callable[[flags.FlagValues], dict | None]
    required: tuple[str, ...] = ("workdir",)


def main(argv: list[str] | None = None) -> int:
    """Run `mmjax VERB --flags`; the exit status is 0, 130 after Ctrl-C, or 2 for what is told as one message.

    That is a user's mistake, or a machine that refuses: a full disk, a folder that cannot be read.

    Args:
        argv: verb and flags; None: those of this process, which is left at once if the command failed.
    """
    if argv is None and sys.argv[1:2] == ["train"]:
        tune_allocator()
    status = _run(sys.argv[1:] if argv is None else argv)
    if status and argv is None:
        # Writes that a failure left unfinished call into Python from native threads, and would abort a regular exit.
        sys.stdout.flush()
        os._exit(status)
    return status


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    debug = "--debug" in argv
    try:
        verb = _verb(argv[0])
        values = flags.FlagValues()
        _define_common(values)
        if "config" in verb.required:
            define_config(values, argv)
        verb.define(values)
        if {"-h", "--help"} & set(argv[1:]):
            print(f"mmjax {argv[0]}: {verb.summary}\n{_flag_help(values)}")
            return 0
        parse(values, verb.required, ["mmjax " + argv[0], *argv[1:]])
        result = verb.run(values)
    except (UserError, OSError, KeyboardInterrupt) as error:
        if debug:
            raise
        print(f"mmjax: {_message(error)}", file=sys.stderr)
        return 130 if isinstance(error, KeyboardInterrupt) else 2
    if values.json and result is not None:
        print(json.dumps(result))
    return 0


def overview() -> str:
    """What `mmjax --help` prints."""
    lines = [f"  {name:8} {verb.summary}" for name, verb in VERBS.items()]
    return (
        "mmjax: contrastive multimodal training in JAX\n\nusage: mmjax VERB --flags\n\n"
        + "\n".join(lines)
        + ("\n\n`mmjax VERB --help` lists the flags of a verb; docs/config.md every key of a config.")
    )


def _train(values) -> dict | None:
    _start_jax(values)
    from mmjax.training.train import train

    return train(values.config, values.workdir)


def _eval(values) -> dict | None:
    _start_jax(values)
    from mmjax.experiments.results import evaluate_workdir

    return evaluate_workdir(values.workdir, step=values.step)


def _embed(values) -> dict | None:
    _start_jax(values)
    from mmjax.experiments.embed import embed_source

    return embed_source(
        values.workdir,
        source=values.source,
        stream=values.stream,
        out=values.out,
        captions=values.captions,
        language=values.language,
        step=values.step,
    )


def _data(values) -> dict | None:
    from mmjax.config import validate
    from mmjax.data.preview import preview

    validate(values.config)
    return preview(values.config, values.out)


def _report(values) -> dict | None:
    _start_jax(values)
    from mmjax.experiments.results import report_workdir

    return report_workdir(values.workdir, step=values.step)


def _train_flags(values) -> None:
    flags.DEFINE_string("workdir", None, "folder of the run; an interrupted run in it goes on", flag_values=values)
    _distributed_flags(values)


def _workdir_flags(values) -> None:
    flags.DEFINE_string("workdir", None, "folder of the run", flag_values=values)
    flags.DEFINE_integer("step", None, "step of the checkpoint; the newest by default", flag_values=values)


def _embed_flags(values) -> None:
    _workdir_flags(values)
    flags.DEFINE_string("source", None, "'emoji:SPLIT' or tars", flag_values=values)
    flags.DEFINE_string("stream", "image", "stream of the model that is embedded", flag_values=values)
    flags.DEFINE_string("out", None, "file to write: .npy or .parquet", flag_values=values)
    flags.DEFINE_string("captions", "{txt}", "template of the captions of a text stream", flag_values=values)
    flags.DEFINE_string("language", "en", "language of text fields that have several", flag_values=values)


def _data_flags(values) -> None:
    flags.DEFINE_string("out", "contact_sheet.png", "picture of what reaches the model", flag_values=values)


VERBS = {
    "train": Verb("train a config, or go on with an interrupted run", _train_flags, _train, ("config", "workdir")),
    "eval": Verb("evaluate a checkpoint of a run", _workdir_flags, _eval),
    "embed": Verb("write embeddings and ids of a source", _embed_flags, _embed, ("workdir", "source", "out")),
    "data": Verb("show what a config's data looks like when it reaches the model", _data_flags, _data, ("config",)),
    "report": Verb("write report.html of a run again", _workdir_flags, _report),
}


def _verb(name: str) -> Verb:
    if name not in VERBS:
        from mmjax.config import nearest

        raise UserError(f"unknown verb {name!r}", remedy=nearest(name, VERBS))
    return VERBS[name]


def _define_common(values) -> None:
    flags.DEFINE_bool("json", False, "print one JSON object as the last line", flag_values=values)
    flags.DEFINE_bool("debug", False, "show tracebacks of errors", flag_values=values)


def _distributed_flags(values) -> None:
    meaning = "host:port of process 0, or 'auto' on TPU pods and SLURM; empty: one process"
    flags.DEFINE_string("coordinator", "", meaning, flag_values=values)
    flags.DEFINE_integer("num_processes", None, "processes of the run", flag_values=values)
    flags.DEFINE_integer("process_id", None, "number of this process", flag_values=values)


def _flag_help(values) -> str:
    return "\n".join(f"  --{name:14} {values[name].help}" for name in values)


def _message(error: BaseException) -> str:
    """One message for what ended a command."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError):
        remedy = "free space, mend permissions, or look closer with --debug"
        return str(UserError(error.strerror or str(error), where=str(error.filename or ""), remedy=remedy))
    return str(error)


def tune_allocator() -> None:
    """Start again under allocator settings that a CPU run gains from; they only work set before the process starts."""
    accelerators = ("/dev/nvidiactl", "/dev/accel0", "/dev/vfio")
    if os.environ.get("JAX_PLATFORMS") != "cpu" and any(map(os.path.exists, accelerators)):
        return
    if not sys.platform.startswith("linux") or "GLIBC_TUNABLES" in os.environ:
        return
    settings = {
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "100000000000",
        "MALLOC_ARENA_MAX": "1",
    }
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | settings)


def _start_jax(values) -> None:
    """Join the other processes if there are any, and keep compiled programs for the next run."""
    import jax

    if not values.debug:
        # Of a write that fails, orbax logs the traceback and raises it too; what it leaves unfinished fails after that.
        for name in ("absl", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        sys.unraisablehook = lambda _: None
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "mmjax", "compiled")
    jax.config.update("jax_compilation_cache_dir", os.environ.get("JAX_COMPILATION_CACHE_DIR", cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    if "coordinator" not in values or not values.coordinator:
        return
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    named = (values.coordinator, values.num_processes, values.process_id)
    try:
        jax.distributed.initialize(*(() if values.coordinator == "auto" else named))
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"cannot join the other processes: {str(error).strip()}",
            where=f"--coordinator={values.coordinator}",
            remedy="give --coordinator, --num_processes and --process_id alike to every process, or see launch/",
        ) from error


if __name__ == "__main__":
    sys.exit(main())
