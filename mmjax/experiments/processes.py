"""Some commands run as processes, a few at a time, every one with its log."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mmjax.errors import UserError

TICK = 0.05  # seconds between two looks at the processes


class Command(NamedTuple):
    """`mmjax` with `argv`, what it says appended to `log`; `name` is how messages call it."""

    name: str
    argv: tuple[str, ...]
    log: Path


class Outcome(NamedTuple):
    """How a command ended: its JSON result, or why there is none; and how long it took."""

    result: dict | None
    reason: str
    seconds: float


def run_all(
    commands: Sequence[Command],
    processes: int,
    ended: Callable[[Command, Outcome], None],
    stop: Callable[[], str] = str,
) -> None:
    """Run commands, at most `processes` at a time, in order; no failure keeps the others from running.

    Args:
        commands: what is run, each in a process of its own.
        processes: how many run at once.
        ended: called with each command that has ended.
        stop: empty, or the name of a signal: then nothing more is started and what runs gets SIGTERM, once.
    """
    waiting, running, told = list(commands), {}, False
    try:
        while waiting or running:
            if stop() and not told:
                waiting, told = [], True
                for child in running.values():
                    child.process.terminate()
            while waiting and len(running) < processes:
                command = waiting.pop(0)
                running[command] = _start(command)
            for command in [c for c, child in running.items() if child.process.poll() is not None]:
                ended(command, _outcome(command, running.pop(command)))
            time.sleep(TICK)
    finally:
        for child in running.values():
            child.process.kill()
            child.process.wait()


class _Child(NamedTuple):
    """A process, when it began, and how long its log was then."""

    process: subprocess.Popen
    begin: float
    offset: int


def _start(command: Command) -> _Child:
    """A session of its own keeps the terminal's Ctrl-C from the process: the sweep passes it on, as SIGTERM."""
    argv = [sys.executable, "-m", "mmjax.experiments.child", *command.argv, "--json"]
    try:
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with open(command.log, "ab") as log:
            offset = log.tell()
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            return _Child(process, time.monotonic(), offset)
    except OSError as error:
        raise UserError(f"cannot write: {error.strerror}", where=str(command.log), remedy="make room") from error


def _outcome(command: Command, child: _Child) -> Outcome:
    seconds, status = time.monotonic() - child.begin, child.process.returncode
    said = command.log.read_bytes()[child.offset :].decode(errors="replace")
    lines = [line for line in said.splitlines() if line.strip()]
    if status == 0 and lines:
        with contextlib.suppress(json.JSONDecodeError):
            return Outcome(json.loads(lines[-1]), "", seconds)
    if status < 0:
        return Outcome(None, f"killed by signal {-status}", seconds)
    message = next((i for i in reversed(range(len(lines))) if lines[i].startswith("mmjax: ")), len(lines) - 1)
    return Outcome(None, "\n    ".join(lines[message:]) or f"exit status {status}", seconds)
