"""Bytes that an instruction moves between a chip's main memory (HBM) and its cores.

What a fusion reads and writes is what its instructions need of its operands: a fusion that takes a slice of a stacked
array, or updates a slice of one in place, moves the slice and not the array.
"""

from mmjax.plan.collectives import COLLECTIVES
from mmjax.plan.hlo import Computation, Instruction, Module, Shape

# These name, group or allocate memory, or finish what another instruction began; calls are counted by what they call.
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id"),
    *("optimization-barrier", "copy-done", "slice-done", "async-done", "async-update", "add-dependency", "domain"),
}
FREE_CALLS = ("AllocateBuffer", "ConcatBitcast", "AssumeGatherIndicesInBound", "AsyncCollectiveDone", "Sharding")
SLICES = ("dynamic-slice", "slice", "gather")


def hbm_bytes(module: Module, computation: Computation, instruction: Instruction) -> int:
    """Bytes that an instruction of a loop's body or of the entry reads from HBM and writes to it."""
    opcode = instruction.opcode
    if opcode in FREE or opcode.endswith("-done"):
        return 0
    if _free_call(instruction):
        return 0
    if opcode == "fusion":
        inside = module.computations[instruction.called[0]]
        if _free_call(inside.instructions[inside.root]):
            return 0
        if inside.begins:  # counted here, wherever it goes on and ends
            begun = [i for i in inside.instructions.values() if i.opcode in COLLECTIVES]
            return sum(_whole(inside.operand(i, 0)) + _whole(i) for i in begun)
        read = sum(_read(module, inside, parameter) for parameter in inside.parameters)
        return read + _written(module, inside, inside.instructions[inside.root])
    sources = [computation.instructions[o] for o in instruction.operands]
    if opcode == "slice-start":  # (operand, slice, flag)
        return _moved(instruction.shapes[1], sources[0]) + instruction.shapes[1].hbm_bytes
    if opcode == "copy-start":  # (copy, operand, flag)
        return instruction.shapes[0].hbm_bytes + _whole(sources[0])
    if opcode in SLICES:
        return _moved(instruction.shapes[0], sources[0]) + _whole(instruction)
    if opcode in ("dynamic-update-slice", "scatter"):
        update = sources[-1] if opcode == "scatter" else sources[1]
        return _whole(update) + _moved(update.shapes[0], instruction)
    if opcode.endswith("-start"):  # of a collective: its results repeat its operands
        return sum(map(_whole, sources)) + max(_whole(instruction) - sum(map(_whole, sources)), 0)
    return sum(map(_whole, sources)) + _whole(instruction)


def _free_call(instruction: Instruction) -> bool:
    return instruction.opcode == "custom-call" and instruction.attribute(r'custom_call_target="(\w+)"') in FREE_CALLS


def _goes_on(module: Module, instruction: Instruction) -> bool:
    """Whether it is a collective that another fusion has begun."""
    return instruction.opcode in COLLECTIVES and instruction.channel in module.background


def _whole(instruction: Instruction) -> int:
    return sum(shape.hbm_bytes for shape in instruction.shapes)


def _moved(part: Shape, buffer: Instruction) -> int:
    """Bytes of a part of a buffer, if the buffer lies in HBM."""
    whole = buffer.shapes[0]
    return min(_in_hbm(part), whole.hbm_bytes) if whole.in_hbm else 0


def _in_hbm(part: Shape) -> int:
    return Shape(part.dtype, part.dims, part.minor_to_major, part.tile).hbm_bytes


def _read(module: Module, inside: Computation, value: Instruction) -> int:
    """Bytes that a fusion reads of `value`, a parameter of its computation or another name of one."""
    if not any(shape.in_hbm for shape in value.shapes):
        return 0
    whole, read = _whole(value), 0
    for user in inside.users[value.name]:
        read += _read_by(module, inside, value, user)
    return min(read, whole)


def _read_by(module: Module, inside: Computation, value: Instruction, user: Instruction) -> int:
    if user.opcode in ("bitcast", "get-tuple-element", "reshape"):
        return _read(module, inside, user)
    if user.opcode in SLICES and user.operands[0] == value.name:
        return _moved(user.shapes[0], value)
    if user.opcode == "dynamic-update-slice" and user.operands[0] == value.name:
        return 0  # the rest of the buffer stays where it is
    if user.opcode == "tuple" or _goes_on(module, user):
        return 0  # handed on
    if user.opcode == "fusion":
        called = module.computations[user.called[0]]
        names = [called.parameters[i] for i, o in enumerate(user.operands) if o == value.name]
        return sum(_read(module, called, parameter) for parameter in names)
    return _whole(value)


def _written(module: Module, inside: Computation, result: Instruction, shape: Shape | None = None) -> int:
    """Bytes that a fusion writes to `result`, its root or an element of it, which ends up as `shape`."""
    if result.opcode == "tuple":
        elements = [inside.instructions[o] for o in result.operands]
        shapes = result.shapes if len(result.shapes) == len(elements) else [None] * len(elements)
        return sum(_written(module, inside, e, s) for e, s in zip(elements, shapes, strict=True))
    shape = shape or result.shapes[0]
    if result.opcode == "parameter" or not shape.in_hbm or _goes_on(module, result):
        return 0
    if result.opcode == "bitcast":
        return _written(module, inside, inside.operand(result, 0), shape)
    if result.opcode == "dynamic-update-slice":
        return _moved(inside.operand(result, 1).shapes[0], result)
    if result.opcode == "fusion" and len(result.shapes) == 1:
        called = module.computations[result.called[0]]
        return _written(module, called, called.instructions[called.root], shape)
    return shape.hbm_bytes
