"""From a chip's FLOPs and bytes to the least time that they take (Williams et al. 2009, the roofline model)."""

from mmjax.plan.chips import TPUS
from mmjax.plan.topology import Topology


def links(topology: Topology) -> int:
    """Interconnect links of the chip of a slice that has the fewest.

    Two for each axis that is closed to a ring, one for each that is not, since a chip at its end has one neighbour;
    none along an axis of one chip. A 3D slice is closed on all axes or on none, a 2D one on its full sides.
    """
    tpu = TPUS[topology.kind]
    closed = [side % tpu.wraps_at == 0 for side in topology.sides]
    if tpu.torus_axes == 3:
        closed = [all(closed)] * 3
    return sum(1 + ring for side, ring in zip(topology.sides, closed, strict=True) if side > 1)


def roofline(topology: Topology, *, bf16_flops: float, hbm_bytes: float, received: float) -> dict[str, float]:
    """Seconds that a chip needs at least for each part of a step, and for the step.

    Args:
        topology: the slice.
        bf16_flops: passes of the bfloat16 matrix unit, in FLOPs.
        hbm_bytes: bytes to and from main memory.
        received: bytes that the chip receives in collectives.

    Returns:
        {"compute", "hbm", "interconnect", "overlapped", "serial"}: the parts, the longest of them (all three go on at
        once) and their sum (one after another). No step is faster than "overlapped".
    """
    tpu = TPUS[topology.kind]
    wires = links(topology) * tpu.link_bandwidth
    parts = {
        "compute": bf16_flops / tpu.flops,
        "hbm": hbm_bytes / tpu.hbm_bandwidth,
        "interconnect": received / wires if received else 0.0,
    }
    return parts | {"overlapped": max(parts.values()), "serial": sum(parts.values())}


def longest(time: dict[str, float]) -> str:
    """Which part of a `roofline` bounds the step: "compute", "hbm" or "interconnect"."""
    return max(("compute", "hbm", "interconnect"), key=lambda part: time[part])
