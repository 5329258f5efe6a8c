"""Speed, processor time and memory of a config's training data, with and without worker processes."""

import contextlib
import json
import os
import sys
import time
from statistics import median

from mmjax.bench.processes import processor_seconds, resident_mib, rest
from mmjax.bench.timing import Child, serve

BATCHES_LOOKED_AT = 2


def bench_data(config, *, workers: tuple[int, ...] = (0, 1, 2), batches: int = 20, turns: int = 5) -> dict:
    """Time the batches of a config's training data, as fast as they can be made; nothing is trained.

    Each number of workers is a process of its own, and they take turns of `batches` batches. A turn begins with batches
    that are not counted, those that waited ready. A small source is kept in memory after its first epoch, as in
    training.

    Args:
        config: of an experiment; its `data`, `streams`, `seed` and `batch_size` are used.
        workers: numbers of worker processes, each in the place of `config.data.workers`.
        batches: timed in a turn.
        turns: of which the medians are given.

    Returns:
        {"source", "streams", "batch_size", "cores", "decode_share", "batch_mb", "sample_kb", "workers"}. `decode_share`
        is the share of processor time that members' bytes take to become pictures, sounds and clips (with
        data.decoder = "turbo" their crops too), before anything is kept. `workers` holds for each number
        {"samples_per_second", "cpu_seconds_per_sample", "read_mb_per_second", "batch_mb_per_second", "resident_mib"}.

    Raises:
        UserError: if a process ends; it said why on standard error.
    """
    from mmjax.config import to_json

    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-m", "mmjax.bench.data"]
        options = {"config": to_json(config), "batches": batches}
        sides = {n: stack.enter_context(Child(f"{n} workers", command, options | {"workers": n})) for n in workers}
        about = sides[workers[0]].ask("about")
        rounds = [{n: side.ask("load") for n, side in sides.items()} for _ in range(turns)]
    return about | {"workers": {n: _rates([r[n] for r in rounds], about) for n in workers}}


def _rates(turns: list[dict], about: dict) -> dict:
    rate = median(turn["samples"] / turn["seconds"] for turn in turns)
    return {
        "samples_per_second": rate,
        "cpu_seconds_per_sample": median(turn["cpu_seconds"] / turn["samples"] for turn in turns),
        "read_mb_per_second": rate * about["sample_kb"] / 1e3,
        "batch_mb_per_second": rate * about["batch_mb"] / about["batch_size"],
        "resident_mib": median(turn["resident_mib"] for turn in turns),
    }


def table(result: dict) -> str:
    """The result of `bench_data` as text."""
    streams = ", ".join(result["streams"])
    lines = [
        f"{result['source']}: {streams}; batches of {result['batch_size']}, {result['cores']} core(s)",
        f"decoding takes {result['decode_share']:.0%} of the processor time",
        "workers  samples/s  CPU ms/sample   read MB/s  batches MB/s  memory MiB",
    ]
    for number, side in result["workers"].items():
        cpu = f"{1e3 * side['cpu_seconds_per_sample']:13.3f}"
        rates = f"{side['read_mb_per_second']:10.1f}  {side['batch_mb_per_second']:12.1f}"
        lines.append(f"{number:7}  {side['samples_per_second']:9.0f}  {cpu}  {rates}  {side['resident_mib']:10.0f}")
    return "\n".join(lines)


class Side:
    """The batches of one number of worker processes.

    Args:
        config: as JSON.
        workers: worker processes.
        batches: of a turn.
    """

    def __init__(self, config: str, workers: int, batches: int):
        from mmjax.config import from_json
        from mmjax.data.pipeline import TrainPipeline

        self._config, self._batches = from_json(config), batches
        data = self._config.data
        data.workers = workers
        streams = tuple(self._config.streams)
        self._pipeline = TrainPipeline(data, streams, self._config.seed, self._config.batch_size)
        self._waiting = 2 * (data.prefetch + data.threads)
        self._stream = None

    def about(self) -> dict:
        """What is known of the data, and the share of decoding."""
        source, config = self._pipeline.source, self._config
        with decoding() as spent:
            begin = time.thread_time()
            for step in range(BATCHES_LOOKED_AT):
                batch = self._pipeline.batch(step)
            whole = time.thread_time() - begin
        return {
            "source": config.data.source,
            "streams": list(config.streams),
            "batch_size": config.batch_size,
            "cores": len(os.sched_getaffinity(0)),
            "decode_share": spent[0] / whole,
            "batch_mb": sum(array.nbytes for array in batch.values()) / 1e6,
            "sample_kb": source.nbytes / len(source) / 1e3,
        }

    def load(self) -> dict:
        """Wall and processor seconds of the next batches, and the memory after them."""
        self._stream = self._stream or self._pipeline.iterate()
        for _ in range(self._waiting):
            next(self._stream)
        begin, processor = time.perf_counter(), processor_seconds()
        rows = sum(len(next(self._stream)["id"]) for _ in range(self._batches))
        seconds, processor = time.perf_counter() - begin, processor_seconds() - processor
        rest()
        return {"samples": rows, "seconds": seconds, "cpu_seconds": processor, "resident_mib": resident_mib()}

    def close(self) -> None:
        """End the worker processes."""
        if self._stream:
            self._stream.close()


@contextlib.contextmanager
def decoding():
    """Yields a list whose one entry adds up the processor seconds that this thread decodes members."""
    from mmjax.data.samples import Sample

    spent, apply = [0.0], Sample.apply

    def timed(*args):
        begin = time.thread_time()
        try:
            return apply(*args)
        finally:
            spent[0] += time.thread_time() - begin

    Sample.apply = timed
    try:
        yield spent
    finally:
        Sample.apply = apply


if __name__ == "__main__":
    from mmjax.startup import tune_allocator

    tune_allocator()  # as in training
    side = Side(**json.loads(sys.argv[1]))
    serve({"about": side.about, "load": side.load})
    side.close()
