"""Is it worth it that `mmjax train` starts itself again under other allocator settings?

    python -m benchmarks.allocator

Runs of `mmjax train` with (its default) and without them take turns; a set GLIBC_TUNABLES keeps it from starting again.
The rate is the median of the logged examples/s, first lines left out.
"""

import os
import tempfile
from pathlib import Path

from benchmarks.common import arguments, load_config, publish, ratios, summary, train_command, train_until
from mmjax.training.history import read_history

VARIABLES = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_ARENA_MAX")
LOG_EVERY = 5


def main():
    args, load = arguments(__doc__, rounds=5, steps=100), os.getloadavg()
    plain = {k: v for k, v in os.environ.items() if k not in VARIABLES} | {"JAX_PLATFORMS": "cpu"}
    rates = {"tuned": [], "plain": []}
    for _ in range(args.rounds):
        rates["tuned"].append(examples_per_second(args.config, args.steps, plain))
        rates["plain"].append(examples_per_second(args.config, args.steps, plain | {"GLIBC_TUNABLES": ""}))
    result = {
        "steps_of_a_run": args.steps,
        "batch_size": load_config(args.config).batch_size,
        "examples_per_second": {name: summary(values) for name, values in rates.items()},
        "tuned_to_plain": ratios(rates["tuned"], rates["plain"]),
    }
    publish("allocator", args, result, load)


def examples_per_second(config: str, steps: int, environment: dict[str, str]) -> float:
    """The median logged rate of the first `steps` steps of a fresh run, without those that warm up."""
    with tempfile.TemporaryDirectory() as folder:
        command = train_command(config, Path(folder), f"--config.log.every={LOG_EVERY} steps")
        train_until(steps, command, environment)
        rates = [row["train/samples_per_second"] for row in read_history(Path(folder))]
    return summary(rates[len(rates) // 4 :])["median"]


if __name__ == "__main__":
    main()
