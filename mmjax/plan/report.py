"""The bill as text."""

from mmjax.plan.roofline import longest
from mmjax.plan.search import as_flags

GIB = 2**30


def text(result: dict) -> str:
    """What `mmjax plan` prints of a result of `mmjax.plan.plan.plan`."""
    mesh = ", ".join(f"{axis} {size}" for axis, size in result["mesh"].items())
    lines = [
        f"{result['topology']}: {result['chips']} chips, mesh {mesh}; batch {result['batch_size']}, "
        f"{result['microbatches']} micro-batch(es); compiled in {result['compile_seconds']:.0f} s",
        "",
        *chip_lines(result["chip"]),
        "",
        *encoder_lines(result["encoders"]),
        *result["notes"],
        "",
        *(cost_lines(result) if result["fits"] else refusal_lines(result)),
    ]
    if "find_batch" in result:
        lines += ["", *batch_lines(result["find_batch"])]
    return "\n".join(lines)


def chip_lines(chip: dict) -> list[str]:
    """One line for each of the chip's figures."""
    return [
        f"{chip['kind']} ({chip['source']})",
        f"  peak          {chip['flops'] / 1e12:10.0f} TFLOP/s, dense bfloat16",
        f"  HBM           {chip['hbm'] / GIB:10.2f} GiB for programs, {chip['hbm_bandwidth'] / 1e9:.0f} GB/s",
        f"  interconnect  {chip['links']:10d} links of {chip['link_bandwidth'] / 1e9:.0f} GB/s each way, at a corner",
    ]


def encoder_lines(encoders: dict) -> list[str]:
    """One line for each encoder."""
    return [
        f"encoder {name:10} {e['parameters'] / 1e6:8.1f} M parameters {e['flops'] / 1e9:8.2f} GFLOP/example forward"
        for name, e in encoders.items()
    ]


def cost_lines(result: dict) -> list[str]:
    """Memory, work, time and the run's bill."""
    time, total = result["time"], result["memory"]["total"]
    lines = ["memory of a chip"]
    lines += [f"  {use:14}{size / GIB:9.3f} GiB" for use, size in result["memory"].items()]
    lines += [f"  of {result['available'] / GIB:.2f} GiB: {total / result['available']:.0%} used", ""]
    lines += ["work of a chip in a step                                         at least"]
    lines += [f"  FLOPs         {result['flops'] / 1e12:10.3f} TFLOP  {time['compute'] * 1e3:32.2f} ms"]
    lines += [f"  HBM           {result['hbm_bytes'] / 1e9:10.3f} GB     {time['hbm'] * 1e3:32.2f} ms"]
    lines += [f"  interconnect  {_received(result) / 1e9:10.3f} GB     {time['interconnect'] * 1e3:32.2f} ms"]
    lines += [
        f"    {kind:20} {count:8.0f} x {size / 1e6:12.3f} MB in all"
        for kind, (count, size) in sorted(result["collectives"].items())
    ]
    lines += [f"  not counted: {what}" for what in result["unknown"]]
    lines += [
        "",
        f"step            {time['overlapped'] * 1e3:10.2f} ms at least ({longest(time)} bound), "
        f"{time['serial'] * 1e3:.2f} ms if nothing overlapped",
        f"MFU             {result['mfu_bound']:10.1%} at most",
        f"examples/s      {result['examples_per_second']:10.0f} at most",
        f"the whole run   {result['total_steps']:10d} steps: at least {result['days']:.2f} days, "
        f"{result['chip_hours']:.0f} chip-hours",
    ]
    return lines


def refusal_lines(result: dict) -> list[str]:
    """By how much it does not fit, and what was tried."""
    over = result["used"] - result["available"]
    lines = [f"does not fit: {_of(result)} GiB, {over / GIB:.2f} too many"]
    for tried in result["remedies"]:
        verdict = tried.get("refused") or f"{'fits' if tried['fits'] else 'does not fit'}: {_of(tried)} GiB"
        lines.append(f"  tried {' '.join(as_flags(tried['flags']))}\n    {verdict}")
    if not any(tried["fits"] for tried in result["remedies"]):
        lines.append("  nothing tried here fits: take a larger slice or a smaller batch (--find_batch)")
    return lines


def batch_lines(found: dict) -> list[str]:
    """What the search for the largest batch saw."""
    tries = sorted(found["tries"], key=lambda t: t["batch_size"])
    lines = [f"  batch {t['batch_size']:9d} {'fits' if t['fits'] else 'does not fit':12} {_of(t)} GiB" for t in tries]
    return [f"largest batch that fits: {found['batch_size'] or 'none'}", *lines]


def _of(tried: dict) -> str:
    return f"{tried['used'] / GIB:.2f} of {tried['available'] / GIB:.2f}"


def _received(result: dict) -> float:
    return sum(size for _, size in result["collectives"].values())
