"""Floating-point operations of a traced function, counted with the trip counts of its loops."""

import math

import jax
from jax.extend.core import Literal

from mmjax.plan.chips import TPUS


def count_flops(function, *args) -> int:
    """FLOPs of matrix products and convolutions in `function(*args)`, two for each multiply-add, over all devices.

    XLA's own cost analysis counts the body of a scan once; this walks the jaxpr and multiplies by the trip count.
    A `while` loop's body counts once, and of a `cond` its cheapest branch: what runs now and then is not claimed for
    every step.

    Args:
        function: any traceable function.
        *args: arrays or ShapeDtypeStructs.
    """
    return count_jaxpr_flops(jax.make_jaxpr(function)(*args).jaxpr)


def count_jaxpr_flops(jaxpr) -> int:
    """The same for a function that is traced already."""
    return sum(_count_equation(e) for e in _live_equations(jaxpr))


def _live_equations(jaxpr):
    """The equations whose results are used, the last first; the compiler drops the others too."""
    used = {v for v in jaxpr.outvars if not isinstance(v, Literal)}
    for equation in reversed(jaxpr.eqns):
        if equation.effects or used.intersection(equation.outvars):
            used.update(v for v in equation.invars if not isinstance(v, Literal))
            yield equation


def _count_equation(e) -> int:
    if e.primitive.name == "dot_general":
        (contract, _), _ = e.params["dimension_numbers"]
        return 2 * math.prod(e.outvars[0].aval.shape) * math.prod(e.invars[0].aval.shape[i] for i in contract)
    if e.primitive.name == "conv_general_dilated":
        kernel = e.invars[1].aval.shape
        out_channels = kernel[e.params["dimension_numbers"].rhs_spec[0]]
        return 2 * math.prod(e.outvars[0].aval.shape) * math.prod(kernel) // out_channels
    if e.primitive.name == "cond":
        return min(count_jaxpr_flops(branch.jaxpr) for branch in e.params["branches"])
    times = e.params["length"] if e.primitive.name == "scan" else 1
    if e.primitive.name == "shard_map":  # traced with what lies on one of its devices
        times = math.prod(e.params["mesh"].shape[axis] for axis in e.params["newly_manual_axes"])
    return times * sum(count_jaxpr_flops(getattr(j, "jaxpr", j)) for j in _inner_jaxprs(e.params))


def _inner_jaxprs(params):
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if hasattr(item, "eqns") or hasattr(getattr(item, "jaxpr", None), "eqns"):
                yield item


# Dense bfloat16 peak of one device in FLOP/s, from the vendors' data sheets; other devices: unknown.
PEAK_FLOPS = {tpu.device_kind: tpu.flops for tpu in TPUS.values()} | {
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
}


def peak_flops(device) -> float | None:
    """The device's dense bfloat16 peak in FLOP/s, or None where it is not known."""
    kinds = [k for k in PEAK_FLOPS if device.device_kind.startswith(k)]
    return PEAK_FLOPS[max(kinds, key=len)] if kinds else None
