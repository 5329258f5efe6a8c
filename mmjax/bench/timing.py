"""Programs that take turns, each in a process and memory of its own, so that all meet the same machine."""

import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mmjax.errors import UserError

SECONDS_TO_END = 20


class Child:
    """A process that answers every line it is told with one JSON object in a line; see `serve`."""

    def __init__(self, name: str, command: list[str], options: dict):
        self._name = name
        try:
            self._process = subprocess.Popen(
                [*command, json.dumps(options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise UserError(f"cannot start {name}: {error.strerror}", where=command[0]) from error

    def ask(self, what: str) -> dict:
        """The child's answer to `what`.

        Raises:
            UserError: if the child has ended instead; it said why on standard error.
        """
        try:
            self._process.stdin.write(what + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries may print other things
                return json.loads(line)
        raise UserError(f"{self._name} ended with status {self._process.wait()}", remedy="see its messages above")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """The end of its input tells the child to end, and to end what it has started itself."""
        with self._process as process, contextlib.suppress(BrokenPipeError):
            process.stdin.close()
            try:
                process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()


def serve(answers: dict[str, Callable[[], dict]]) -> None:
    """Answer the lines on standard input until it ends, as a `Child` is asked."""
    for line in sys.stdin:
        print(json.dumps(answers[line.strip()]()), flush=True)


def timed(function: Callable[[], object]) -> float:
    """Wall seconds of a call."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def peak_mib() -> float:
    """The most memory that this process has held, in MiB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes
    # Not ru_maxrss, which on Linux begins with what the parent held.
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
