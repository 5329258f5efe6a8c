"""Batches onto the devices, ahead of the step that needs them; the only file of this folder that touches JAX."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator


def place(batch: dict, sharding) -> dict:
    """The global arrays of which `batch` holds this process's rows.

    Args:
        batch: numpy arrays (b, ...), the rows in process order.
        sharding: a `jax.sharding.Sharding` that splits the leading axis, such as NamedSharding(mesh, P("data")).
    """
    import jax

    return {name: jax.make_array_from_process_local_data(sharding, array) for name, array in batch.items()}


def prefetch_to_device(iterator: Iterable, place: Callable, size: int = 2) -> Iterator:
    """`place(batch)` for every batch, done by a thread up to `size` batches ahead from the first `next` on.

    An exception of the iterator or of `place` is raised in its turn; `close()` ends the thread and closes the iterator.
    """
    ready: queue.Queue = queue.Queue(size)
    stopped = threading.Event()

    def put(item):
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def run():
        try:
            for batch in iterator:
                put((place(batch), None))
                if stopped.is_set():
                    return
            put((None, StopIteration()))
        except BaseException as error:  # whatever it is belongs to the thread that waits for the batch
            put((None, error))

    thread = threading.Thread(target=run, daemon=True, name="prefetch to device")
    thread.start()
    try:
        while True:
            batch, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield batch
    finally:
        stopped.set()
        thread.join()
        if hasattr(iterator, "close"):
            iterator.close()
