"""What would make a step fit into memory, and the largest batch that does: found by compiling, not by estimate."""

import math
from collections.abc import Callable, Iterator

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.training.progress import say

MOST_MICROBATCHES = 64
PRECISION = 16


def remedies(config, chips: int, attempt: Callable) -> list[dict]:
    """Changes that may make the step of a config fit, each tried; it ends with the first that does.

    Args:
        config: a config whose step does not fit.
        chips: of the slice.
        attempt: config -> {"fits", "used", "available", ...}.

    Returns:
        [{"flags", "fits", "used", "available"} or {"flags", "fits": False, "refused": why}], in the order tried.
    """
    found = []
    for flags in candidates(config, chips):
        try:
            tried = attempt(changed(config, flags))
            found.append({"flags": flags} | {key: tried[key] for key in ("fits", "used", "available")})
        except UserError as error:
            found.append({"flags": flags, "fits": False, "refused": error.what})
        say(f"tried {' '.join(as_flags(flags))}: {'fits' if found[-1]['fits'] else 'does not fit'}")
        if found[-1]["fits"]:
            break
    return found


def candidates(config, chips: int) -> Iterator[dict]:
    """Changes in the order of what they cost: sharded parameters, recomputation, micro-batches; then all together."""
    fsdp = {"mesh.data": 1, "mesh.fsdp": -1} if config.mesh.fsdp == 1 and chips > config.mesh.tensor else {}
    remat = {f"towers.{name}.remat": "full" for name, t in config.towers.items() if t.get("remat", "full") != "full"}
    alone = [change for change in (fsdp, remat) if change]
    yield from alone
    if len(alone) == 2:
        yield fsdp | remat
    parts, rows = config.microbatches * 2, config.batch_size * config.mesh.tensor // chips
    while parts <= min(rows, MOST_MICROBATCHES):
        yield {"microbatches": parts}
        yield from [fsdp | remat | {"microbatches": parts}] if alone else []
        parts *= 2


def changed(config, flags: dict):
    """A copy of a config with the values of `flags`, a dict of dotted paths, put in."""
    config = config_lib.from_json(config_lib.to_json(config))
    for path, value in flags.items():
        section, _, name = path.rpartition(".")
        (config_lib.lookup(config, section) if section else config)[name] = value
    return config


def as_flags(flags: dict) -> list[str]:
    """`flags` as they are written on the command line."""
    return [f"--config.{path}={value}" for path, value in flags.items()]


def largest_batch(config, step: dict, attempt: Callable) -> dict:
    """The largest global batch whose step fits, to one part in `PRECISION`, among the batches that divide evenly.

    Doubles or halves from the config's batch until one batch fits and a larger one does not, then bisects.

    Returns:
        {"batch_size": 0 if even the smallest does not fit, "tries": [{"batch_size", "fits", "used", "available"}]}.
    """
    unit = smallest_batch(config, step)
    tries = [_try(config.batch_size, step)]

    def fits(batch: int) -> bool:
        tries.append(_try(batch, attempt(changed(config, {"batch_size": batch}))))
        say(f"batch {batch}: {'fits' if tries[-1]['fits'] else 'does not fit'}")
        return tries[-1]["fits"]

    low, high = (config.batch_size, math.inf) if step["fits"] else (0, config.batch_size)
    while high == math.inf:
        low, high = (low * 2, high) if fits(low * 2) else (low, low * 2)
    while low == 0 and high > unit:
        half = max(high // 2 // unit * unit, unit)
        low, high = (half, high) if fits(half) else (0, half)
    while low and high - low > max(unit, low // PRECISION):
        middle = (low + high) // 2 // unit * unit
        low, high = (middle, high) if fits(middle) else (low, middle)
    return {"batch_size": low, "tries": tries}


def smallest_batch(config, step: dict) -> int:
    """Rows of a batch that gives every device one row of every micro-batch."""
    return math.prod(step["mesh"][axis] for axis in ("data", "fsdp")) * config.microbatches


def _try(batch: int, step: dict) -> dict:
    return {"batch_size": batch} | {key: step[key] for key in ("fits", "used", "available")}
