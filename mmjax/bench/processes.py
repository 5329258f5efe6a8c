"""Processor time and memory of this process and those it started, on Linux; only the standard library is needed."""

import os
import time
from pathlib import Path


def family(process: int | None = None) -> list[int]:
    """The numbers of a process, by default this one, and of all that it has started, and they in turn."""
    process = process or os.getpid()
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    children = [int(number) for children in tasks for number in children.read_text().split()]
    return [process] + [number for child in children for number in family(child)]


def processor_seconds() -> float:
    """What they have used so far, at work for themselves and in the kernel."""
    fields = [Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split() for number in family()]
    return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")


def rest() -> None:
    """Wait until they have nothing left to do, so that others have the machine to themselves; not for ever."""
    for _ in range(100):
        before = processor_seconds()
        time.sleep(0.2)
        if processor_seconds() - before < 0.03:
            return


def resident_mib() -> float:
    """Their resident memory in MiB; what several share is counted once."""
    lines = [line for n in family() for line in Path(f"/proc/{n}/smaps_rollup").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
