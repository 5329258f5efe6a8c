"""SIGTERM and SIGINT ask a run to save and stop; the second SIGINT stops it at once."""

import contextlib
import signal
import threading

import jax
import numpy as np


@contextlib.contextmanager
def stop_signals():
    """Yields a function `asked() -> str`: the name of the signal that arrived, or empty."""
    received = []

    def handle(number, frame):
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(signal.Signals(number).name)

    in_main = threading.current_thread() is threading.main_thread()
    previous = {s: signal.signal(s, handle) for s in (signal.SIGTERM, signal.SIGINT)} if in_main else {}
    try:
        yield lambda: received[0] if received else ""
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def anywhere(flag: bool) -> bool:
    """Whether `flag` is true in any process; every process must call it at the same step."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))
