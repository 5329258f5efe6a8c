"""How often the loops of an HLO program run."""

import math
import re

from mmjax.plan.hlo import Computation, Instruction, Module

RENAMES = ("copy", "bitcast", "copy-start", "copy-done")


def trip_count(module: Module, computation: Computation, loop: Instruction) -> int | None:
    """Rounds of a `while` that counts up to a constant, as every scan becomes; None for any other.

    XLA says the count in the loop's attributes, but not in programs for TPUs. There it is read off: the condition
    compares an element of the loop's tuple with a constant, the body adds a constant to that element (2 where the
    compiler unrolled it once), and what it starts from is taken as 0 unless it is a constant itself.
    """
    known = re.search(r'known_trip_count[":{]+n"?:"?(\d+)', loop.attributes)
    if known:
        return int(known[1])
    counter = _counter_and_end(module, module.computations[loop.attribute(r"condition=%?([\w.-]+)")])
    if counter is None:
        return None
    index, end = counter
    step = _step(module.computations[loop.attribute(r"body=%?([\w.-]+)")], index)
    start = _value(computation, _element(computation, computation.operand(loop, 0), index)) or 0
    return None if not step else max(math.ceil((end - start) / step), 0)


def _counter_and_end(module: Module, condition: Computation) -> tuple[int, int] | None:
    """(index of the counter in the loop's tuple, end) of a condition `counter < end`."""
    test, inside, outer = condition.instructions[condition.root], condition, {}
    if test.opcode == "fusion":
        inside = module.computations[test.called[0]]
        outer = dict(zip((p.name for p in inside.parameters), test.operands, strict=True))
        test = inside.instructions[inside.root]
    if test.opcode != "compare" or test.attribute(r"direction=(\w+)") != "LT":
        return None
    counter, end = (condition.instructions[outer[o]] if o in outer else inside.instructions[o] for o in test.operands)
    if counter.opcode != "get-tuple-element" or end.opcode != "constant":
        return None
    return int(counter.attribute(r"index=(\d+)")), int(end.argument)


def _step(body: Computation, index: int) -> int | None:
    """What the body adds to the counter."""
    added = _element(body, body.instructions[body.root], index)
    if added is None or added.opcode != "add":
        return None
    values = [_value(body, body.instructions[o]) for o in added.operands]
    return next((v for v in values if v is not None), None)


def _element(computation: Computation, made: Instruction, index: int) -> Instruction | None:
    """The instruction behind an element of a tuple that is made in this computation."""
    return _named(computation, computation.operand(made, index)) if made.opcode == "tuple" else None


def _named(computation: Computation, found: Instruction) -> Instruction:
    while found.opcode in RENAMES:
        found = computation.operand(found, 0)
    return found


def _value(computation: Computation, found: Instruction | None) -> int | None:
    """The integer of a constant, under whatever names; None if it is none."""
    found = found and _named(computation, found)
    return int(found.argument) if found and found.opcode == "constant" and found.argument.isdigit() else None
