"""Verbs that measure mmjax on this machine."""

from absl import flags

from mmjax.startup import start_jax
from mmjax.verbs.verb import Verb


def _bench_loss_flags(values) -> None:
    flags.DEFINE_integer("batch", 8192, "rows of the global batch", flag_values=values)
    flags.DEFINE_integer("width", 512, "width of the embeddings", flag_values=values)
    flags.DEFINE_enum("dtype", "float32", ("float32", "bfloat16"), "dtype of the embeddings", flag_values=values)
    flags.DEFINE_integer("repeats", 5, "timings of each form", flag_values=values)
    flags.DEFINE_string("topology", "", "TPU slice to compile for, such as v5e:2x4, instead", flag_values=values)
    flags.DEFINE_list("impls", "dense,ring", "forms to compile for --topology", flag_values=values)


def _bench_loss(values) -> dict | None:
    from mmjax.bench.loss import bench_loss, bench_loss_on, table

    options = {"width": values.width, "dtype": values.dtype}
    if values.topology:
        result = bench_loss_on(values.topology, batch=values.batch, impls=tuple(values.impls), **options)
    else:
        start_jax(values)
        result = bench_loss(batch=values.batch, repeats=values.repeats, **options)
    print(table(result))
    return result


def _bench_step_flags(values) -> None:
    flags.DEFINE_integer("batch", 32, "examples of a step", flag_values=values)
    flags.DEFINE_enum("dtype", "bfloat16", ("float32", "bfloat16"), "dtype of activations", flag_values=values)
    flags.DEFINE_integer("repeats", 5, "steps that are timed", flag_values=values)
    flags.DEFINE_string("remat", "none", "what backward keeps of a block, as in docs/config.md", flag_values=values)
    meaning = "python with torch and open_clip, to take turns with; empty: mmjax alone"
    flags.DEFINE_string("torch_python", "", meaning, flag_values=values)


def _bench_step(values) -> dict | None:
    from mmjax.bench.step import bench_step, table

    options = {"batch_size": values.batch, "dtype": values.dtype, "steps": values.repeats, "remat": values.remat}
    result = bench_step(**options, torch_python=values.torch_python)
    print(table(result))
    return result


def _bench_eval_flags(values) -> None:
    flags.DEFINE_integer("queries", 20_000, "made-up queries", flag_values=values)
    flags.DEFINE_integer("gallery", 20_000, "made-up items that they are ranked among", flag_values=values)
    flags.DEFINE_integer("width", 512, "width of the embeddings", flag_values=values)
    flags.DEFINE_integer("block", 1024, "rows of a block of scores", flag_values=values)
    flags.DEFINE_integer("repeats", 3, "timings; 1: compilation and all", flag_values=values)


def _bench_eval(values) -> dict | None:
    start_jax(values)
    from mmjax.bench.eval import bench_eval, table

    sizes = {"queries": values.queries, "gallery": values.gallery, "width": values.width, "block": values.block}
    result = bench_eval(**sizes, repeats=values.repeats)
    print(table(result))
    return result


def _bench_data_flags(values) -> None:
    flags.DEFINE_list("workers", "0,1,2", "numbers of worker processes, which take turns", flag_values=values)
    flags.DEFINE_integer("batches", 20, "batches of a turn", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("repeats", 5, "turns of each", lower_bound=1, flag_values=values)


def _bench_data(values) -> dict | None:
    from mmjax.bench.data import bench_data, table
    from mmjax.config import validate

    validate(values.config)
    result = bench_data(
        values.config, workers=tuple(map(int, values.workers)), batches=values.batches, turns=values.repeats
    )
    print(table(result))
    return result


BENCHES = {
    "bench loss": Verb("time and memory of the losses, here or on a TPU slice", _bench_loss_flags, _bench_loss, ()),
    "bench step": Verb("time and memory of a ViT-B/32 CLIP training step", _bench_step_flags, _bench_step, ()),
    "bench eval": Verb("time and memory of retrieval ranks", _bench_eval_flags, _bench_eval, ()),
    "bench data": Verb("speed and memory of a config's data", _bench_data_flags, _bench_data, ("config",)),
}
