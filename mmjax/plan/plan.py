"""The verb plan: what the training step of a config costs on a slice, whether it fits, and what would make it fit."""

import glob
import importlib.util
import os

from mmjax import config as config_lib
from mmjax.data.mixture import open_data
from mmjax.durations import parse_duration
from mmjax.errors import UserError
from mmjax.plan.chips import TPUS
from mmjax.plan.roofline import links, roofline
from mmjax.plan.search import largest_batch, remedies
from mmjax.plan.topology import INSTALL, Topology, compile_for_topology, parse_topology

SMALL_FILES = 2**30
EPOCH_KEYS = ("duration", "schedule.warmup", "schedule.cooldown", "schedule.timescale")


def plan(config, topology: str, *, examples: int = 0, find_batch: bool = False, hlo: str = "") -> dict:
    """Compile the training step of a config for a slice of TPUs and work out what it costs.

    Args:
        config: the experiment's config.
        topology: such as "v5e:16x16".
        examples: examples of an epoch; 0: counted in the source if that costs nothing.
        find_batch: also look for the largest batch that fits.
        hlo: file for the text of the optimised program; empty: none.

    Returns:
        A dict as JSON knows it; docs/plan.md says what is in it and where it comes from.

    Raises:
        UserError: for whatever is wrong with config or topology, or where libtpu is missing.
    """
    config_lib.validate(config)
    where = parse_topology(topology)
    if importlib.util.find_spec("libtpu") is None:
        raise UserError("libtpu, which holds the TPU compiler, is not installed", remedy=INSTALL)
    known = examples or examples_of(config)
    attempt = lambda changed, file="": compile_step(changed, topology, known, file)  # noqa: E731
    step = attempt(config, os.path.abspath(hlo) if hlo else "")
    result = {"topology": topology, "chips": where.chips, "chip": chip(where)}
    result |= {"batch_size": config.batch_size, "microbatches": config.microbatches, "examples": known or None}
    result |= step | bill(step, config.batch_size, where)
    if not step["fits"]:
        result["remedies"] = remedies(config, where.chips, attempt)
    if find_batch:
        result["find_batch"] = largest_batch(config, step, attempt)
    return result


def compile_step(config, topology: str, examples: int, hlo: str = "") -> dict:
    """`plan_step` in a child process, with the memory that the slice's chips have as "available"."""
    kwargs = {"config": config_lib.to_json(config), "examples": examples or config.batch_size, "hlo": hlo}
    step = compile_for_topology(topology, "mmjax.plan.step:plan_step", kwargs)
    available = TPUS[parse_topology(topology).kind].hbm
    return {"available": available, "used": step["memory"]["total"], **step} if step["fits"] else step


def bill(step: dict, batch_size: int, topology: Topology) -> dict:
    """{"time", "mfu_bound", "examples_per_second", "days", "chip_hours"} of a compiled step; {} if it does not fit.

    Times are the least that the chips need, so days and hours are too; rates are the most.
    """
    if not step["fits"]:
        return {}
    received = sum(size for _, size in step["collectives"].values())
    time = roofline(topology, bf16_flops=step["bf16_flops"], hbm_bytes=step["hbm_bytes"], received=received)
    hours = step["total_steps"] * time["overlapped"] / 3600
    return {
        "time": time,
        "mfu_bound": step["model_flops"] / (TPUS[topology.kind].flops * time["overlapped"]),
        "examples_per_second": batch_size / time["overlapped"],
        "days": hours / 24,
        "chip_hours": hours * topology.chips,
    }


def chip(topology: Topology) -> dict:
    """The chip's figures that the bill is made with, and their source."""
    tpu = TPUS[topology.kind]
    figures = ("flops", "hbm", "hbm_bandwidth", "link_bandwidth", "source")
    return {name: getattr(tpu, name) for name in figures} | {"kind": tpu.device_kind, "links": links(topology)}


def examples_of(config) -> int:
    """Examples of an epoch of the config's source, or 0 if it would take long to count them and none need be known.

    Raises:
        UserError: if a duration in epochs needs them.
    """
    sources = [part.source for part in config.data.mixture.values()] or [config.data.source]
    if all(map(_soon_counted, sources)):
        return len(open_data(config.data))
    in_epochs = [key for key in EPOCH_KEYS if parse_duration(config_lib.lookup(config, key)).unit == "epochs"]
    if in_epochs:
        key = in_epochs[0]
        raise UserError(
            f"{key} is in epochs, and how many examples an epoch has is not known here",
            where=f"config.{key} = {config_lib.lookup(config, key)!r}, data from {', '.join(sources)}",
            remedy="say it with --examples=N, or give the duration in steps or examples",
        )
    return 0


def _soon_counted(source: str) -> bool:
    """Whether a source ships with the package, or is of few and small files that are here."""
    if source.startswith(("emoji:", "xor:", "synthetic:")):
        return True
    files = [path for part in source.split("::") for path in glob.glob(part)]
    return bool(files) and sum(map(os.path.getsize, files)) <= SMALL_FILES
