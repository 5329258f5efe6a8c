"""The command line: parse, call, print. Logic lives elsewhere, and JAX is imported only once a verb runs."""

import json
import os
import re
import sys
from collections.abc import Callable
from typing import NamedTuple

from absl import flags
from ml_collections import config_flags

from mmjax.errors import UserError


class Verb(NamedTuple):
    """One verb: what it does, its flags, the function that does it, and whether it reads a config file."""

    summary: str
    define: Callable[[flags.FlagValues], None]
    run: Callable[[flags.FlagValues], dict | None]
    reads_config: bool = False


def main(argv: list[str] | None = None) -> int:
    """Run `mmjax VERB --flags`; the exit status is 0, or 2 for a user's mistake, which is printed as one message."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    debug = "--debug" in argv
    try:
        verb = _verb(argv[0])
        values = flags.FlagValues()
        _define_common(values)
        if verb.reads_config:
            _define_config(values, argv)
        verb.define(values)
        if {"-h", "--help"} & set(argv[1:]):
            print(f"mmjax {argv[0]}: {verb.summary}\n{_flag_help(values)}")
            return 0
        _parse(values, ["mmjax " + argv[0], *argv[1:]])
        result = verb.run(values)
    except UserError as error:
        if debug:
            raise
        print(f"mmjax: {error}", file=sys.stderr)
        return 2
    if values.json and result is not None:
        print(json.dumps(result))
    return 0


def overview() -> str:
    """What `mmjax --help` prints."""
    lines = [f"  {name:8} {verb.summary}" for name, verb in VERBS.items()]
    return "mmjax: contrastive multimodal training in JAX\n\nusage: mmjax VERB --flags\n\n" + "\n".join(lines) + (
        "\n\n`mmjax VERB --help` lists the flags of a verb; docs/config.md every key of a config."
    )


def _train(values) -> dict | None:
    _tune_allocator(values)
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
    flags.DEFINE_string(
        "workdir", None, "folder of the run; an interrupted run in it goes on", flag_values=values, required=True
    )
    _distributed_flags(values)


def _workdir_flags(values) -> None:
    flags.DEFINE_string("workdir", None, "folder of the run", flag_values=values, required=True)
    flags.DEFINE_integer("step", None, "step of the checkpoint; the newest by default", flag_values=values)


def _embed_flags(values) -> None:
    _workdir_flags(values)
    flags.DEFINE_string("source", None, "'emoji:SPLIT' or tars", flag_values=values, required=True)
    flags.DEFINE_string("stream", "image", "stream of the model that is embedded", flag_values=values)
    flags.DEFINE_string("out", None, "file to write: .npy or .parquet", flag_values=values, required=True)
    flags.DEFINE_string("captions", "{txt}", "template of the captions of a text stream", flag_values=values)
    flags.DEFINE_string("language", "en", "language of text fields that have several", flag_values=values)


def _data_flags(values) -> None:
    flags.DEFINE_string("out", "contact_sheet.png", "picture of what reaches the model", flag_values=values)


VERBS = {
    "train": Verb("train a config, or go on with an interrupted run", _train_flags, _train, reads_config=True),
    "eval": Verb("evaluate a checkpoint of a run", _workdir_flags, _eval),
    "embed": Verb("write embeddings and ids of a source", _embed_flags, _embed),
    "data": Verb("show what a config's data looks like when it reaches the model", _data_flags, _data, reads_config=True),
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


def _define_config(values, argv: list[str]) -> None:
    config_flags.DEFINE_config_file(
        "config",
        None,
        "config file, with --config.key=value for single keys",
        flag_values=values,
        sys_argv=["mmjax", *argv],
        lock_config=False,
    )
    flags.mark_flags_as_required(["config"], flag_values=values)


def _distributed_flags(values) -> None:
    flags.DEFINE_string(
        "coordinator", "", "host:port of process 0, or 'auto' on TPU pods and SLURM; empty: one process", flag_values=values
    )
    flags.DEFINE_integer("num_processes", None, "processes of the run", flag_values=values)
    flags.DEFINE_integer("process_id", None, "number of this process", flag_values=values)


def _flag_help(values) -> str:
    return "\n".join(f"  --{name:14} {values[name].help}" for name in values)


def _parse(values, argv: list[str]) -> None:
    """Parse flags and load the config file, every failure told as a UserError."""
    try:
        rest = values(argv)
        if "config" in values:
            values.config.keys()  # the file's errors come when the config is first looked at
    except UserError:
        raise
    except flags.Error as error:
        raise UserError(str(error), remedy=f"`{argv[0]} --help` lists the flags") from error
    except SyntaxError as error:
        raise UserError(f"the config file is no Python: {error.msg}", where=f"{error.filename}:{error.lineno}") from error
    except (AttributeError, KeyError) as error:
        raise _unknown_key(error, argv) from error
    except (TypeError, ValueError, OSError, ImportError) as error:
        raise UserError(f"the config does not load: {error}", where=_place(error)) from error
    if len(rest) > 1:
        raise UserError(f"unexpected argument {rest[1]!r}", remedy="flags are written --name=value")


def _unknown_key(error: Exception, argv: list[str]) -> UserError:
    """What ml_collections says of an unknown key, without its dump of the whole config."""
    text = str(error)
    close = re.search(r'Did you mean "(\w+)" instead of "(\w+)"', text)
    name = close[2] if close else (re.search(r"\w+", text.replace('Key "', "")) or [text])[0]
    flag = next((a.split("=")[0] for a in argv if re.search(rf"^--config\.(\w+\.)*{name}(\.|=|$)", a)), None)
    remedy = f"did you mean {close[1]!r}? " if close else ""
    return UserError(f"unknown config key {name!r}", where=flag or _place(error), remedy=remedy + "docs/config.md lists every key")


def _place(error: BaseException) -> str:
    """File and line of the innermost frame that is not in a library; empty if there is none."""
    frames, trace = [], error.__traceback__
    while trace:
        frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    own = [f for f in frames if "site-packages" not in f[0] and f[0] != __file__ and not f[0].startswith("<")]
    return "{}:{}".format(*own[-1]) if own else ""


def _tune_allocator(values) -> None:
    """Start again under allocator settings that a CPU run gains from; they only work set before the process starts."""
    if os.environ.get("JAX_PLATFORMS") != "cpu" and any(map(os.path.exists, ("/dev/nvidiactl", "/dev/accel0", "/dev/vfio"))):
        return
    if not sys.platform.startswith("linux") or "GLIBC_TUNABLES" in os.environ or values.debug:
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

    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "mmjax", "compiled")
    jax.config.update("jax_compilation_cache_dir", os.environ.get("JAX_COMPILATION_CACHE_DIR", cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    if "coordinator" not in values or not values.coordinator:
        return
    if values.coordinator == "auto":
        jax.distributed.initialize()
        return
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(values.coordinator, values.num_processes, values.process_id)


if __name__ == "__main__":
    sys.exit(main())
