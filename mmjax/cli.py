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
    """One verb: what it does, its flags, the function that does it, which flags must be given, and what takes the rest.

    The rest are arguments that are no flags; `plain` is a flag of several values, or empty where they are a mistake.
    """

    summary: str
    define: Callable[[flags.FlagValues], None]
    run: Callable[[flags.FlagValues], dict | None]
    required: tuple[str, ...] = ("workdir",)
    plain: str = ""


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
    if argv[0] in ("bench", "data") and len(argv) > 1 and not argv[1].startswith("-"):
        argv = [f"{argv[0]} {argv[1]}", *argv[2:]]
    try:
        verb = _verb(argv[0])
        values = flags.FlagValues()
        _define_common(values)
        verb.define(values)
        if "config" in verb.required and "config" not in values:
            define_config(values, argv)
        if {"-h", "--help"} & set(argv[1:]):
            print(f"mmjax {argv[0]}: {verb.summary}\n{_flag_help(values)}")
            return 0
        parse(values, verb.required, ["mmjax " + argv[0], *argv[1:]], verb.plain)
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
    width = max(map(len, VERBS))
    lines = [f"  {name:{width}} {verb.summary}" for name, verb in VERBS.items()]
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

    return evaluate_workdir(values.workdir, step=values.step, records=values.records)


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


def _cluster(values) -> dict | None:
    _start_jax(values)
    from mmjax.experiments.cluster import cluster_run

    sizes = {"clusters": values.clusters, "least": values.least}
    result = cluster_run(values.workdir, stream=values.stream, out=values.out, **sizes)
    print("{out}: {groups} groups of {samples} samples, the smallest of {smallest}".format(**result))
    return result


def _data(values) -> dict | None:
    from mmjax.config import validate
    from mmjax.data.inspection.check import build_indexes, check
    from mmjax.data.inspection.preview import preview

    validate(values.config)
    if values.index:
        return build_indexes(values.config)
    return check(values.config) if values.check else preview(values.config, values.out)


def _train_tokenizer(values) -> dict | None:
    from mmjax.data.mixture import open_data
    from mmjax.data.tokenizers.train import train_tokenizer

    data = values.config.data
    result = train_tokenizer(open_data(data), data, values.vocab_size, values.out, values.kind)
    print("{path}: {vocab_size} pieces from {captions} captions".format(**result))
    return result


def _bench_loss(values) -> dict | None:
    from mmjax.bench.loss import bench_loss, bench_loss_on, table

    options = {"width": values.width, "dtype": values.dtype}
    if values.topology:
        result = bench_loss_on(values.topology, batch=values.batch, impls=tuple(values.impls), **options)
    else:
        _start_jax(values)
        result = bench_loss(batch=values.batch, repeats=values.repeats, **options)
    print(table(result))
    return result


def _bench_step(values) -> dict | None:
    from mmjax.bench.step import bench_step, table

    options = {"batch_size": values.batch, "dtype": values.dtype, "steps": values.repeats, "remat": values.remat}
    result = bench_step(**options, torch_python=values.torch_python)
    print(table(result))
    return result


def _bench_eval(values) -> dict | None:
    _start_jax(values)
    from mmjax.bench.eval import bench_eval, table

    sizes = {"queries": values.queries, "gallery": values.gallery, "width": values.width, "block": values.block}
    result = bench_eval(**sizes, repeats=values.repeats)
    print(table(result))
    return result


def _bench_data(values) -> dict | None:
    from mmjax.bench.data import bench_data, table
    from mmjax.config import validate

    validate(values.config)
    result = bench_data(
        values.config, workers=tuple(map(int, values.workers)), batches=values.batches, turns=values.repeats
    )
    print(table(result))
    return result


def _sweep(values) -> dict | None:
    if values.dry_run:  # else the devices are left to the runs
        _start_jax(values)
    from mmjax.experiments.sweep import sweep

    return sweep(
        values.config,
        values.workdir,
        processes=values.processes,
        dry_run=values.dry_run,
        only=values.only or (),
        seeds=values.seeds or (),
    )


def _report(values) -> dict | None:
    _start_jax(values)
    from mmjax.experiments.results import report

    return report(values.workdir, step=values.step, baseline=values.baseline, out=values.out)


def _plan(values) -> dict | None:
    from mmjax.plan.plan import plan
    from mmjax.plan.report import text

    result = plan(
        values.config,
        values.topology,
        examples=values.examples,
        find_batch=values.find_batch,
        hlo=values.hlo,
    )
    print(text(result))
    return result


def _train_flags(values) -> None:
    flags.DEFINE_string("workdir", None, "folder of the run; an interrupted run in it goes on", flag_values=values)
    _distributed_flags(values)


def _workdir_flags(values) -> None:
    flags.DEFINE_string("workdir", None, "folder of the run", flag_values=values)
    flags.DEFINE_integer("step", None, "step of the checkpoint; the newest by default", flag_values=values)


def _sweep_flags(values) -> None:
    flags.DEFINE_string("config", None, "config file with get_config and get_sweep", flag_values=values)
    flags.DEFINE_string("workdir", None, "folder of the sweep; an interrupted one goes on", flag_values=values)
    flags.DEFINE_integer("processes", 1, "runs at once", lower_bound=1, flag_values=values)
    flags.DEFINE_bool("dry_run", False, "print the cells and what they would cost", flag_values=values)
    meaning = "a cell, or several joined by commas; may be repeated; none: all"
    flags.DEFINE_multi_string("only", None, meaning, flag_values=values)
    flags.DEFINE_list("seeds", None, "seeds joined by commas; none: all of the sweep", flag_values=values)


def _report_flags(values) -> None:
    meaning = "folder of a run or of a sweep; may be repeated, and written without the flag's name"
    flags.DEFINE_multi_string("workdir", None, meaning, flag_values=values)
    flags.DEFINE_integer("step", None, "of one run: step of the checkpoint; the newest by default", flag_values=values)
    meaning = "of several runs: what the others are compared with; by default what the sweep says, or the first"
    flags.DEFINE_string("baseline", "", meaning, flag_values=values)
    meaning = "of several runs: page to write, a table in Markdown beside it; by default in the first sweep's folder"
    flags.DEFINE_string("out", "", meaning, flag_values=values)


def _eval_flags(values) -> None:
    _workdir_flags(values)
    meaning = "folder for results in CLIP_benchmark's schema, a file for each evaluation that it has too"
    flags.DEFINE_string("records", "", meaning, flag_values=values)


def _embed_flags(values) -> None:
    _workdir_flags(values)
    flags.DEFINE_string("source", None, "what is embedded, as data.source", flag_values=values)
    flags.DEFINE_string("stream", "image", "stream of the model that is embedded", flag_values=values)
    flags.DEFINE_string("out", None, "file to write: .npy or .parquet", flag_values=values)
    flags.DEFINE_string("captions", "{txt}", "template of the captions of a text stream", flag_values=values)
    meaning = "language of captions and sounds that come in several; empty: the first that the stream takes"
    flags.DEFINE_string("language", "", meaning, flag_values=values)


def _cluster_flags(values) -> None:
    flags.DEFINE_string("workdir", None, "folder of the run", flag_values=values)
    flags.DEFINE_string("stream", "image", "stream of the model whose embeddings are clustered", flag_values=values)
    flags.DEFINE_integer("clusters", 10, "number of clusters", lower_bound=1, flag_values=values)
    meaning = "smallest group; smaller ones join others. At least the batch size of the next run"
    flags.DEFINE_integer("least", 128, meaning, lower_bound=1, flag_values=values)
    flags.DEFINE_string("out", None, ".npy file to write, for data.groups", flag_values=values)


def _data_flags(values) -> None:
    meaning = "picture of what reaches the model; a page with players goes beside it, ending in .html"
    flags.DEFINE_string("out", "contact_sheet.png", meaning, flag_values=values)
    meaning = "read everything once instead, and list what is broken by file, member and reason"
    flags.DEFINE_bool("check", False, meaning, flag_values=values)
    flags.DEFINE_bool("index", False, "build the indexes of all sources ahead instead", flag_values=values)


def _train_tokenizer_flags(values) -> None:
    flags.DEFINE_integer("vocab_size", 8192, "greatest number of pieces", flag_values=values)
    flags.DEFINE_enum("kind", "bpe", ("bpe", "sentencepiece"), "how the pieces are found", flag_values=values)
    flags.DEFINE_string("out", None, "tokenizer.json to write, for data.tokenizer", flag_values=values)


def _plan_flags(values) -> None:
    flags.DEFINE_string("topology", None, "slice of TPUs, such as v5e:16x16 or v4:4x4x4", flag_values=values)
    meaning = "examples of an epoch, where the source is not here to count them"
    flags.DEFINE_integer("examples", 0, meaning, lower_bound=0, flag_values=values)
    flags.DEFINE_bool("find_batch", False, "also find the largest global batch that fits", flag_values=values)
    flags.DEFINE_string("hlo", "", "file to write the optimised program to", flag_values=values)


def _bench_loss_flags(values) -> None:
    flags.DEFINE_integer("batch", 8192, "rows of the global batch", flag_values=values)
    flags.DEFINE_integer("width", 512, "width of the embeddings", flag_values=values)
    flags.DEFINE_enum("dtype", "float32", ("float32", "bfloat16"), "dtype of the embeddings", flag_values=values)
    flags.DEFINE_integer("repeats", 5, "timings of each form", flag_values=values)
    flags.DEFINE_string("topology", "", "TPU slice to compile for, such as v5e:2x4, instead", flag_values=values)
    flags.DEFINE_list("impls", "dense,ring", "forms to compile for --topology", flag_values=values)


def _bench_step_flags(values) -> None:
    flags.DEFINE_integer("batch", 32, "examples of a step", flag_values=values)
    flags.DEFINE_enum("dtype", "bfloat16", ("float32", "bfloat16"), "dtype of activations", flag_values=values)
    flags.DEFINE_integer("repeats", 5, "steps that are timed", flag_values=values)
    flags.DEFINE_string("remat", "none", "what backward keeps of a block, as in docs/config.md", flag_values=values)
    meaning = "python with torch and open_clip, to take turns with; empty: mmjax alone"
    flags.DEFINE_string("torch_python", "", meaning, flag_values=values)


def _bench_eval_flags(values) -> None:
    flags.DEFINE_integer("queries", 20_000, "made-up queries", flag_values=values)
    flags.DEFINE_integer("gallery", 20_000, "made-up items that they are ranked among", flag_values=values)
    flags.DEFINE_integer("width", 512, "width of the embeddings", flag_values=values)
    flags.DEFINE_integer("block", 1024, "rows of a block of scores", flag_values=values)
    flags.DEFINE_integer("repeats", 3, "timings", flag_values=values)


def _bench_data_flags(values) -> None:
    flags.DEFINE_list("workers", "0,1,2", "numbers of worker processes, which take turns", flag_values=values)
    flags.DEFINE_integer("batches", 20, "batches of a turn", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("repeats", 5, "turns of each", lower_bound=1, flag_values=values)


VERBS = {
    "train": Verb("train a config, or go on with an interrupted run", _train_flags, _train, ("config", "workdir")),
    "eval": Verb("evaluate a checkpoint of a run", _eval_flags, _eval),
    "embed": Verb("write embeddings and ids of a source", _embed_flags, _embed, ("workdir", "source", "out")),
    "cluster": Verb(
        "group a run's training samples by their embeddings, for batches within groups",
        _cluster_flags,
        _cluster,
        ("workdir", "out"),
    ),
    "data": Verb("show what a config's data looks like when it reaches the model", _data_flags, _data, ("config",)),
    "data train_tokenizer": Verb(
        "train a tokenizer on the captions of a config", _train_tokenizer_flags, _train_tokenizer, ("config", "out")
    ),
    "plan": Verb(
        "say what a step costs on a TPU slice, before it is rented", _plan_flags, _plan, ("config", "topology")
    ),
    "bench loss": Verb("time and memory of the losses, here or on a TPU slice", _bench_loss_flags, _bench_loss, ()),
    "bench step": Verb("time and memory of a ViT-B/32 CLIP training step", _bench_step_flags, _bench_step, ()),
    "bench eval": Verb("time and memory of retrieval ranks", _bench_eval_flags, _bench_eval, ()),
    "bench data": Verb("speed and memory of a config's data", _bench_data_flags, _bench_data, ("config",)),
    "sweep": Verb("train the cells of a config's sweep at every seed", _sweep_flags, _sweep, ("config", "workdir")),
    "report": Verb(
        "write report.html of a run again, or compare the runs of sweeps: mmjax report DIR...",
        _report_flags,
        _report,
        ("workdir",),
        "workdir",
    ),
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
        # Buffers up to this come from the heap and are used again; larger ones go back to the system each time. In the
        # heap a step's gigabyte, once a small thing lies in it, fits no more, and every step would take another one.
        "MALLOC_MMAP_THRESHOLD_": str(128 * 2**20),
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
