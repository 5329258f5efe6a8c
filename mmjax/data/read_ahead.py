"""What a function gives for one number after another, computed ahead by threads or worker processes."""

import os
import threading
import time
from collections.abc import Callable
from functools import partial

SECONDS_BETWEEN_LOOKS = 2.0


def read_ahead(function: Callable[[int], object], numbers: range, data, buffered: int):
    """An iterator with `close()` over `function(number)`, in order, computed ahead by grain.

    Args:
        function: picklable where `data.workers` is not 0.
        numbers: what it is called with.
        data: its `threads` are shared out among its `workers`, so that the cores are not asked for more.
        buffered: how many results may wait, over all threads or workers.
    """
    import grain
    from absl import flags

    threads = -(-data.threads // max(1, data.workers))
    # What a worker's threads have ready goes to where it is shared at once, and waits there.
    waiting = 1 if data.workers else buffered
    reading = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(threads, waiting))
    dataset = grain.MapDataset.range(numbers.start, numbers.stop).map(function).to_iter_dataset(reading)
    if data.workers:
        if not flags.FLAGS.is_parsed():  # in a notebook or a test; grain reads absl flags when it starts a process
            flags.FLAGS.mark_as_parsed()
        each = max(1, buffered // data.workers)
        workers = grain.MultiprocessingOptions(num_workers=data.workers, per_worker_buffer_size=each)
        dataset = dataset.mp_prefetch(workers, worker_init_fn=partial(_end_with, os.getpid()))
    return iter(dataset)


def _end_with(parent: int, index: int, count: int) -> None:
    """Has a worker process end when the one that it reads for was killed; otherwise it would wait for it for ever."""

    def watch():
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watch parent").start()
