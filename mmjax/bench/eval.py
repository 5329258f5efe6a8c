"""Time and memory of retrieval ranks, whose scores never exist as a whole."""

import functools
import statistics

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.bench.timing import peak_mib, timed
from mmjax.errors import UserError
from mmjax.evaluation import ranking
from mmjax.mesh import make_mesh

TILE = 4096


def bench_eval(
    *, queries: int = 20_000, gallery: int = 20_000, width: int = 512, block: int = 1024, repeats: int = 3
) -> dict:
    """Measure `mmjax.evaluation.ranking.retrieval_ranks` on the devices of this process.

    A plain product takes turns with it: (TILE, width) times (width, TILE), whose time is scaled to all queries against
    the whole gallery. Ranks take at most two such products, for they find the correct item first, in blocks that hold
    one, and then count what is before. Here correct items lie in no order, as they hardly do in a test set.

    Args:
        queries, gallery: how many made-up unit rows; each query belongs to one item.
        width: of the embeddings.
        block: rows of a block.
        repeats: how often each is timed; medians are reported. 1: timed at once, compilation and all, for sets so large
            that a run to warm up would cost too much.

    Returns:
        {"queries", "gallery", "width", "block", "devices", "seconds", "queries_per_second", "times_matmul", "peak_mib",
        "data_mib", "temporary_mib"}: peak of the process, what both sets take once, and what the compiled second pass
        needs beside its arguments, a device.

    Raises:
        UserError: a number below 1, or a gallery of one.
    """
    if min(queries, gallery - 1, width, block, repeats) < 1:
        raise UserError("nothing to measure", remedy="give one query or more and a gallery of two or more")
    mesh = make_mesh({"data": -1, "fsdp": 1, "tensor": 1})
    x, y = _unit_rows(0, queries, width), _unit_rows(1, gallery, width)
    ids = np.random.default_rng(2).integers(0, gallery, queries)  # anywhere, so that few blocks can be skipped
    ranks = functools.partial(ranking.retrieval_ranks, x, y, ids, np.arange(gallery), block=block, mesh=mesh)
    product, tiles = _product(x, y)
    product()  # compiled before it is timed
    if repeats > 1:
        ranks()
    seconds, ratios = [], []
    for _ in range(repeats):
        of_product = timed(product) * tiles
        seconds.append(timed(ranks))
        ratios.append(seconds[-1] / of_product)
    typical = statistics.median(seconds)
    about = {"queries": queries, "gallery": gallery, "width": width, "block": block, "devices": mesh.size}
    return about | {
        "seconds": typical,
        "queries_per_second": queries / typical,
        "times_matmul": statistics.median(ratios),
        "peak_mib": peak_mib(),
        "data_mib": (queries + gallery) * width * 4 / 2**20,
        "temporary_mib": ranking.temporary_bytes(queries, gallery, width, block=block, mesh=mesh) / 2**20,
    }


def table(result: dict) -> str:
    """The result of `bench_eval` as text."""
    return (
        "{queries:,} queries, {gallery:,} items, width {width}, {devices} device(s)\n"
        "{queries_per_second:,.0f} queries/s ({seconds:.2f} s), {times_matmul:.1f} times a plain product\n"
        "{peak_mib:,.0f} MiB at most, {data_mib:,.0f} of them both sets once; {temporary_mib:,.1f} beside the arguments"
    ).format(**result)


def _unit_rows(seed: int, rows: int, width: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((rows, width), np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def _product(x, y):
    """A plain product of the first rows of either, and how many such there are in all of x against all of y."""
    a, b = (jnp.asarray(side[:TILE]) for side in (x, y))
    multiply = jax.jit(lambda a, b: jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST))
    tiles = len(x) * len(y) / (len(a) * len(b))
    return lambda: multiply(a, b).block_until_ready(), tiles
