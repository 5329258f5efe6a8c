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
    """`mmjax` with `argv`, what it says appended to `log`; `name` is how messages call it.

    It starts when the commands that it `needs`, by name, have ended well, if they are among those that run.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    needs: tuple[str, ...] = ()


class Outcome(NamedTuple):
    """How a command ended: its JSON result, or why there is none; and how long it took."""

    result: dict | None
    reason: str
    seconds: float


def run_all(
    commands: Sequence[Command],
    processes: int,
    ended: Callable[[Command, Outcome], bool],
    stop: Callable[[], str] = str,
) -> None:
    """Run commands, at most `processes` at a time; a failure keeps only those from running that need the failed one.

    Args:
        commands: what is run, each in a process of its own; those that are needed come first.
        processes: how many run at once.
        ended: called with each command that has ended; whether it ended well.
        stop: empty, or the name of a signal: then nothing more is started and what runs gets SIGTERM, once.
    """
    waiting, running, failed, told = list(commands), {}, set(), False
    try:
        while waiting or running:
            if stop() and not told:
                waiting, told = [], True
                for child in running.values():
                    child.process.terminate()
            for command in list(waiting):
                if lost := sorted(failed.intersection(command.needs)):
                    waiting.remove(command)
                    failed.add(command.name)
                    ended(command, Outcome(None, f"it needs {', '.join(lost)}", 0.0))
            while len(running) < processes and (command := _ready(waiting, running)):
                waiting.remove(command)
                running[command] = _start(command)
            for command in [c for c, child in running.items() if child.process.poll() is not None]:
                outcome = _outcome(command, running.pop(command))
                failed |= set() if ended(command, outcome) else {command.name}
            time.sleep(TICK)
    finally:
        for child in running.values():
            child.process.kill()
            child.process.wait()


def _ready(waiting: Sequence[Command], running) -> Command | None:
    """The first command that waits for no other."""
    pending = {command.name for command in (*waiting, *running)}
    return next((command for command in waiting if not pending.intersection(command.needs)), None)


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
