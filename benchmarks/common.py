"""What the benchmarks share: the config under test, medians, machine facts, one JSON object."""

import argparse
import json
import os
import platform
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "configs/quickstart.py"


def arguments(description: str, **counts: int) -> argparse.Namespace:
    """The command line of a benchmark: `--config=FILE[:ARG]`, `--output=FILE`, and a number for each of `counts`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=CONFIG, help="config file under test, seen from the repository's root")
    parser.add_argument("--output", type=Path, help="file that gets the JSON object as well")
    for name, default in counts.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{default} by default")
    return parser.parse_args()


def start_as_train() -> None:
    """Allocator settings and the cache of compiled programs as in `mmjax train`; may start this process again."""
    from mmjax.startup import start_jax, tune_allocator

    tune_allocator()
    start_jax(argparse.Namespace(debug=False))


def load_config(path: str, **changes):
    """The config of `FILE[:ARG]`, with dotted keys changed."""
    file, _, argument = path.partition(":")
    config = runpy.run_path(str(ROOT / file))["get_config"](argument)
    config.update_from_flattened_dict(changes)
    return config


def build(config):
    """(pipeline, experiment) of a config, as `mmjax train` makes them in one process."""
    from mmjax.data.pipeline import TrainPipeline
    from mmjax.training.load import experiment_of

    pipeline = TrainPipeline(config.data, tuple(config.streams), config.seed, config.batch_size)
    return pipeline, experiment_of(config, examples=len(pipeline.source))


def publish(name: str, args: argparse.Namespace, result: dict, load_before: tuple) -> None:
    """Print a result with the facts that it depends on, as one JSON object; write it to `--output` too."""
    head = {"benchmark": name, "config": args.config}
    facts = {"machine": machine(), "load_average": {"before": rounded(load_before), "after": rounded(os.getloadavg())}}
    text = json.dumps(rounded(head | result | facts), indent=1)
    print(text)
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(text + "\n")


def machine() -> dict:
    """Processor, cores that this process may use, versions."""
    packages = ("mmjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {p: metadata.version(p) for p in packages},
    }


def processor() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def summary(samples: list[float]) -> dict:
    """Median, smallest and largest of some samples, and how many there are."""
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples), "n": len(samples)}


def ratios(samples: list[float], baseline: list[float]) -> dict:
    """Summary of sample / baseline of the same round, so that what slows the machine for a while cancels."""
    return summary([s / b for s, b in zip(samples, baseline, strict=True)])


def seconds(function: Callable, *args, repeats: int = 1) -> float:
    """Wall seconds of one call of a function that returns arrays, over `repeats` calls in a row; waits for the last."""
    import jax

    begin = time.perf_counter()
    for _ in range(repeats):
        out = function(*args)
    jax.block_until_ready(out)
    return (time.perf_counter() - begin) / repeats


def rounded(value):
    """Numbers to four significant digits, all through a tree of dicts and lists; whole numbers stay."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def train_command(config: str, workdir: Path, *flags: str) -> list[str]:
    """`mmjax train` under this Python, with a line for every step."""
    return [sys.executable, "-m", "mmjax.cli", "train", f"--config={config}", f"--workdir={workdir}", *flags]


def train_until(step: int, command: list[str], environment: dict[str, str]) -> float:
    """Seconds from the start of a `mmjax train` to the line it prints after `step`; it is then killed.

    Raises:
        RuntimeError: if it ends before, with what it said.
    """
    begin, said = time.perf_counter(), []
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            said.append(line)
            if line.startswith(f"step {step}/"):
                return time.perf_counter() - begin
    finally:
        process.kill()
        process.wait()
    raise RuntimeError("mmjax train ended early:\n" + "".join(said[-20:]))
