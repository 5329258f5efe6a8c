"""A profile of a window of steps."""

import contextlib
from pathlib import Path

import jax


@contextlib.contextmanager
def profiler(config, workdir: Path):
    """Yields a function to call at every step; it records the window of `config.profile` into workdir/profile."""
    running = False

    def at(step: int) -> None:
        nonlocal running
        if step == config.start:
            jax.profiler.start_trace(str(workdir / "profile"))
            running = True
        elif running and step == config.start + config.steps:
            jax.profiler.stop_trace()
            running = False

    try:
        yield at
    finally:
        if running:
            jax.profiler.stop_trace()
