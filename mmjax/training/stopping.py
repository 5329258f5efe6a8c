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


def agreed(signal_name: str, step: int, every: int) -> str:
    """The signal on which all processes agree to stop now, or "".

    One process decides alone; several ask one another every `every` steps, so that all stop after the same one.
    """
    if jax.process_count() == 1:
        return signal_name
    if step % every:
        return ""
    from jax.experimental import multihost_utils

    asked = multihost_utils.process_allgather(np.asarray(bool(signal_name)))
    return (signal_name or "a signal to another process") if np.any(asked) else ""
