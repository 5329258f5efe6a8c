"""What a person sees while a run goes on: a bar on a terminal, plain lines elsewhere."""

import sys

from tqdm import tqdm


class Progress:
    """A progress bar with examples/s, loss, learning rate and time left, or a line now and then where nobody watches.

    Args:
        start, total: first and last step.
        file: where it is written.
    """

    def __init__(self, start: int, total: int, file=None):
        self._file = file or sys.stderr
        self._watched = self._file.isatty()
        self._total = total
        self._bar = tqdm(
            total=total, initial=start, unit="step", file=self._file, disable=not self._watched, dynamic_ncols=True
        )

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
            self.say(f"step {step}/{self._total}: {text}, {left:.0f} s left")

    def say(self, line: str) -> None:
        """A line that stays, above the bar if there is one."""
        with tqdm.external_write_mode(self._file):
            print(line, file=self._file, flush=True)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
