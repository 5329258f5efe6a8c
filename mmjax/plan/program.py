"""A lowered program compiled for its devices, and what the compiler says of it."""

import dataclasses
import re
import tempfile
import time
from pathlib import Path

from mmjax.plan.cost import count_costs

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def analyse(lowered, hlo: str = "") -> dict:
    """Compile for the devices that it was lowered for; every figure is of one of them.

    Args:
        lowered: a `jax.stages.Lowered`.
        hlo: file for the text of the optimised program; empty: none is written.

    Returns:
        {"fits": True, "compile_seconds", "memory", "flops", "bf16_flops", "hbm_bytes", "collectives", "unknown"}:
        memory as `memory` says, the rest as `mmjax.plan.cost.Cost` does. Where the compiler runs out of memory,
        {"fits": False, "compile_seconds", "used", "available", "message"}, in bytes.
    """
    start = time.perf_counter()
    try:
        compiled, text = compile_with_text(lowered)
    except Exception as error:  # jaxlib's error type has no public name
        verdict = out_of_memory(str(error))
        if verdict is None:
            raise
        return {"fits": False, "compile_seconds": time.perf_counter() - start, **verdict}
    seconds = time.perf_counter() - start
    if hlo:
        with open(hlo, "w") as file:
            file.write(text)
    costs = dataclasses.asdict(count_costs(text))
    return {"fits": True, "compile_seconds": seconds, "memory": memory(compiled), **costs}


def compile_with_text(lowered) -> tuple:
    """(compiled, text of the optimised program)."""
    # Not compiled.as_text(): libtpu 0.0.52 makes asynchronous slices for v6e that XLA then refuses to read back.
    with tempfile.TemporaryDirectory() as folder:
        compiled = lowered.compile(compiler_options={"xla_dump_to": folder, "xla_dump_hlo_as_text": True})
        (dump,) = Path(folder).glob("*after_optimizations.txt")
        return compiled, dump.read_text()


def memory(compiled) -> dict[str, int]:
    """Bytes of one device by use; "total" = arguments + outputs - aliased + temporaries + code.

    Outputs that are aliased lie where the arguments lay that the step uses up.
    """
    m = compiled.memory_analysis()
    used = {
        "arguments": m.argument_size_in_bytes,
        "outputs": m.output_size_in_bytes,
        "aliased": m.alias_size_in_bytes,
        "temporaries": m.temp_size_in_bytes,
        "code": m.generated_code_size_in_bytes,
    }
    return used | {"total": sum(used.values()) - 2 * used["aliased"]}


def out_of_memory(message: str) -> dict | None:
    """The compiler's verdict {"used", "available", "message"} in bytes; None if the message is of something else.

    It has two forms. The one that speaks of "HLO temporaries" counts arguments and results too.
    """
    size = r"([\d.]+)([KMGT]?)"
    match = re.search(rf"Used {size} of {size} hbm", message) or re.search(
        rf"total memory required for .*? \({size}B?\) exceeds available HBM \({size}B?\)", message
    )
    if not match:
        return None
    used, available = (round(float(match[i]) * UNITS[match[i + 1]]) for i in (1, 3))
    return {"used": used, "available": available, "message": message.split("\n\n")[0]}
