"""Seconds from the start of `mmjax train` to the end of its first step, and where they go.

    python -m benchmarks.startup

Each round starts with an empty folder of compiled programs (first run) and goes on with the folder that this left
(second run). The total is measured from outside, the parts by `benchmarks.startup_parts` in processes of their own.
Python's own files are in the system's file cache in both.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import ROOT, arguments, publish, ratios, summary, train_command, train_until

TARGETS = {"first_run_seconds": 20, "second_run_seconds": 8}


def main():
    args, load = arguments(__doc__, repeats=3), os.getloadavg()
    rounds = [one_round(args.config) for _ in range(args.repeats)]
    first, second, first_parts, second_parts = ([r[n] for r in rounds] for n in range(4))
    result = {
        "targets": TARGETS,
        "first_run_seconds": summary(first),
        "second_run_seconds": summary(second),
        "second_to_first": ratios(second, first),
        "parts_of_first_run_seconds": medians(first_parts),
        "parts_of_second_run_seconds": medians(second_parts),
    }
    publish("startup", args, result, load)


def one_round(config: str) -> tuple[float, float, dict, dict]:
    """(first, second, parts of a first, parts of a second), each pair with a cache that is empty before the first."""
    found = []
    for measure in (first_step, part_seconds):
        with tempfile.TemporaryDirectory() as cache:
            found += [measure(config, cache), measure(config, cache)]
    return tuple(found)


def first_step(config: str, cache: str) -> float:
    """Seconds to the end of the first step of a fresh run with this folder of compiled programs."""
    with tempfile.TemporaryDirectory() as workdir:
        command = train_command(config, Path(workdir), "--config.log.every=1 steps")
        return train_until(1, command, os.environ | {"JAX_COMPILATION_CACHE_DIR": cache})


def part_seconds(config: str, cache: str) -> dict[str, float]:
    """Part of the start -> seconds, in a process with this folder of compiled programs."""
    command = [sys.executable, "-m", "benchmarks.startup_parts", config]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
    return json.loads(subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: summary([row[name] for row in rows])["median"] for name in rows[0]}


if __name__ == "__main__":
    main()
