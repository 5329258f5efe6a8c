"""Verbs that make a run, or read one."""

from absl import flags

from mmjax.startup import start_jax
from mmjax.verbs.verb import Verb


def _train_flags(values) -> None:
    flags.DEFINE_string("workdir", None, "folder of the run; an interrupted run in it goes on", flag_values=values)
    _distributed_flags(values)


def _distributed_flags(values) -> None:
    meaning = "host:port of process 0, or 'auto' on TPU pods and SLURM; empty: one process"
    flags.DEFINE_string("coordinator", "", meaning, flag_values=values)
    flags.DEFINE_integer("num_processes", None, "processes of the run", flag_values=values)
    flags.DEFINE_integer("process_id", None, "number of this process", flag_values=values)


def _train(values) -> dict | None:
    start_jax(values)
    from mmjax.training.train import train

    return train(values.config, values.workdir)


def _workdir_flags(values) -> None:
    flags.DEFINE_string("workdir", None, "folder of the run", flag_values=values)
    flags.DEFINE_integer("step", None, "step of the checkpoint; the newest by default", flag_values=values)


def _eval_flags(values) -> None:
    _workdir_flags(values)
    meaning = "folder for results in CLIP_benchmark's schema, a file for each evaluation that it has too"
    flags.DEFINE_string("records", "", meaning, flag_values=values)


def _eval(values) -> dict | None:
    start_jax(values)
    from mmjax.experiments.results import evaluate_workdir

    return evaluate_workdir(values.workdir, step=values.step, records=values.records)


def _embed_flags(values) -> None:
    _workdir_flags(values)
    flags.DEFINE_string("source", None, "what is embedded, as data.source", flag_values=values)
    flags.DEFINE_string("stream", "image", "stream of the model that is embedded", flag_values=values)
    flags.DEFINE_string("out", None, "file to write: .npy or .parquet", flag_values=values)
    flags.DEFINE_string("captions", "{txt}", "template of the captions of a text stream", flag_values=values)
    meaning = "language of captions and sounds that come in several; empty: the first that the stream takes"
    flags.DEFINE_string("language", "", meaning, flag_values=values)


def _embed(values) -> dict | None:
    start_jax(values)
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


def _cluster_flags(values) -> None:
    flags.DEFINE_string("workdir", None, "folder of the run", flag_values=values)
    flags.DEFINE_string("stream", "image", "stream of the model whose embeddings are clustered", flag_values=values)
    flags.DEFINE_integer("clusters", 10, "number of clusters", lower_bound=1, flag_values=values)
    meaning = "smallest group; smaller ones join others. At least the batch size of the next run"
    flags.DEFINE_integer("least", 128, meaning, lower_bound=1, flag_values=values)
    flags.DEFINE_string("out", None, ".npy file to write, for data.groups", flag_values=values)


def _cluster(values) -> dict | None:
    start_jax(values)
    from mmjax.experiments.cluster import cluster_run

    sizes = {"clusters": values.clusters, "least": values.least}
    result = cluster_run(values.workdir, stream=values.stream, out=values.out, **sizes)
    print("{out}: {groups} groups of {samples} samples, the smallest of {smallest}".format(**result))
    return result


def _plan_flags(values) -> None:
    flags.DEFINE_string("topology", None, "slice of TPUs, such as v5e:16x16 or v4:4x4x4", flag_values=values)
    meaning = "examples of an epoch, where the source is not here to count them"
    flags.DEFINE_integer("examples", 0, meaning, lower_bound=0, flag_values=values)
    flags.DEFINE_bool("find_batch", False, "also find the largest global batch that fits", flag_values=values)
    flags.DEFINE_string("hlo", "", "file to write the optimised program to", flag_values=values)


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


RUNS = {
    "train": Verb("train a config, or go on with an interrupted run", _train_flags, _train, ("config", "workdir")),
    "eval": Verb("evaluate a checkpoint of a run", _eval_flags, _eval),
    "embed": Verb("write embeddings and ids of a source", _embed_flags, _embed, ("workdir", "source", "out")),
    "cluster": Verb(
        "group a run's training samples by their embeddings, for batches within groups",
        _cluster_flags,
        _cluster,
        ("workdir", "out"),
    ),
    "plan": Verb(
        "say what a step costs on a TPU slice, before it is rented", _plan_flags, _plan, ("config", "topology")
    ),
}
