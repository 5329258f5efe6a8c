"""What a person sees while a run goes on: a bar on a terminal, plain lines elsewhere."""

import contextlib
import logging
import sys
from collections.abc import Callable

import jax
from tqdm import tqdm


class Progress:
    """A progress bar with examples/s, loss, learning rate and time left, or a line now and then where nobody watches.

    Args:
        start, total: first and last step.
    """

    def __init__(self, start: int, total: int):
        self._watched, self._total = sys.stderr.isatty() and jax.process_index() == 0, total
        self._bar = tqdm(total=total, initial=start, unit="step", disable=not self._watched, dynamic_ncols=True)

    def advance(self) -> None:
        """One step is done."""
        self._bar.update()

    def show(self, step: int, metrics: dict[str, float]) -> None:
        """Show the metrics of a logged step."""
        text = (
            f"{metrics['train/samples_per_second']:.0f} examples/s, loss {metrics['train/loss']:.4f}, "
            f"lr {metrics['train/lr']:.2e}"
        )
        if self._watched:
            self._bar.set_postfix_str(text)
        else:
            left = (self._total - step) * metrics["train/batch_time"]
            say(f"step {step}/{self._total}: {text}, {left:.0f} s left")

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self._bar.close()


def say(line: str) -> None:
    """A line that stays, above the bar if there is one; of several processes the first speaks."""
    if jax.process_index() == 0:
        with tqdm.external_write_mode(sys.stderr):
            print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def notes_told(tell: Callable[[str], object] = say):
    """Inside, `tell` gets what the parts of a run note in the logger "mmjax", each line once however often traced."""
    logger, handler = logging.getLogger("mmjax"), _TellOnce(tell)
    level, logger.propagate = logger.level, False  # a library may have given the root logger a handler too
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = True


class _TellOnce(logging.Handler):
    def __init__(self, tell):
        super().__init__()
        self._tell, self._told = tell, set()

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line not in self._told:
            self._told.add(line)
            self._tell(line)
