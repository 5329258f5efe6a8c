"""The text of an optimised HLO module, read into computations and instructions."""

import dataclasses
import functools
import math
import re

# Names that are not one letter and the bits, as f32 and s8 are.
BYTES = {"pred": 1, "bf16": 2, "token": 0, "opaque": 0}


@dataclasses.dataclass(frozen=True)
class Shape:
    """One array as a chip holds it.

    Attributes:
        dtype: such as "bf16".
        dims: its sides.
        minor_to_major: order of the sides in memory, the fastest first; () if the text gives none.
        tile: sides of a tile, over the fastest sides of the array; () without tiles.
        in_hbm: whether it lies in the chip's main memory, and not in the vector or scalar memory of the core.
    """

    dtype: str
    dims: tuple[int, ...]
    minor_to_major: tuple[int, ...] = ()
    tile: tuple[int, ...] = ()
    in_hbm: bool = True

    @property
    def size(self) -> int:
        """Bytes of its numbers."""
        return math.ceil(math.prod(self.dims) * _item_bytes(self.dtype))

    @property
    def hbm_bytes(self) -> int:
        """Bytes of main memory that it takes up, whole tiles counted; 0 if it lies elsewhere."""
        if not self.in_hbm:
            return 0
        order = self.minor_to_major or tuple(reversed(range(len(self.dims))))
        sides = [self.dims[i] for i in order]  # the fastest first
        for i, tile in enumerate(reversed(self.tile[-len(sides) :] if sides else ())):
            sides[i] = math.ceil(sides[i] / tile) * tile
        return math.ceil(math.prod(sides) * _item_bytes(self.dtype))


@dataclasses.dataclass(frozen=True)
class Instruction:
    """`name = shapes opcode(operands), attributes`; a tuple's shapes in order, however deep they lie."""

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    argument: str
    attributes: str

    @functools.cached_property
    def called(self) -> tuple[str, ...]:
        """Computations that it names, but for the scalar functions of reductions."""
        one = re.findall(r"(?:calls|body|to_apply)=%?([\w.-]+)", self.attributes)
        many = re.findall(r"(?:branch_computations|called_computations)=\{([^}]*)\}", self.attributes)
        either = re.findall(r"(?:true|false)_computation=%?([\w.-]+)", self.attributes)
        return (*one, *(name for names in many for name in re.findall(r"[\w.-]+", names)), *either)

    @property
    def channel(self) -> str:
        """What tells a collective from others, wherever it stands: its channel, or its name."""
        return self.attribute(r"channel_id=(\d+)") or self.name

    def attribute(self, pattern: str, default: str = "") -> str:
        """The first group of a pattern in its attributes."""
        match = re.search(pattern, self.attributes)
        return match[1] if match else default


@dataclasses.dataclass
class Computation:
    """Instructions by name, in order, the last of them the root or marked as such."""

    name: str
    instructions: dict[str, Instruction] = dataclasses.field(default_factory=dict)
    root: str = ""

    @functools.cached_property
    def parameters(self) -> list[Instruction]:
        """Its parameters, by number."""
        found = [i for i in self.instructions.values() if i.opcode == "parameter"]
        return sorted(found, key=lambda i: int(i.argument))

    @functools.cached_property
    def users(self) -> dict[str, list[Instruction]]:
        """Instruction -> those that it is an operand of."""
        users = {name: [] for name in self.instructions}
        for instruction in self.instructions.values():
            for operand in dict.fromkeys(instruction.operands):
                users[operand].append(instruction)
        return users

    @functools.cached_property
    def begins(self) -> bool:
        """Whether a fusion of it begins a collective that goes on beside what follows, loops among it."""
        begin = 'custom_call_target="AsyncCollectiveStart"'
        return any(begin in instruction.attributes for instruction in self.instructions.values())

    def operand(self, instruction: Instruction, index: int) -> Instruction:
        """The instruction that gives an operand."""
        return self.instructions[instruction.operands[index]]


@dataclasses.dataclass
class Module:
    """All computations of a program by name, and the name of the one it starts with."""

    computations: dict[str, Computation]
    entry: str

    @functools.cached_property
    def background(self) -> frozenset[str]:
        """Channels of collectives that a fusion begins; each stands again in every fusion that runs beside it."""
        beginning = [computation for computation in self.computations.values() if computation.begins]
        return frozenset(i.channel for computation in beginning for i in computation.instructions.values())


def parse_module(text: str) -> Module:
    """Read what `compiled.as_text()` gives."""
    computations, entry, current = {}, "", None
    for line in re.sub(r"/\*.*?\*/", "", text).splitlines():
        if header := re.match(r"(ENTRY )?%?([\w.-]+) \(.*\) -> .*\{$", line):
            current = computations[header[2]] = Computation(header[2])
            entry = header[2] if header[1] else entry
        elif current and (found := _parse_instruction(line)):
            root, instruction = found
            current.instructions[instruction.name] = instruction
            current.root = instruction.name if root else current.root
    return Module(computations, entry)


def _parse_instruction(line: str) -> tuple[bool, Instruction] | None:
    head = re.match(r"\s+(ROOT )?%?([\w.-]+) = ", line)
    if not head:
        return None
    start = head.end()
    shape_end = _closing(line, start) if line[start] == "(" else line.index(" ", start)
    opcode = re.match(r"\s*([\w-]+)\(", line[shape_end:])
    opening = shape_end + opcode.end() - 1
    end = _closing(line, opening)
    argument = line[opening + 1 : end - 1]
    operands = tuple(re.findall(r"%([\w.-]+)", argument))
    shapes = _parse_shapes(line[start:shape_end])
    return bool(head[1]), Instruction(head[2], opcode[1], shapes, operands, argument, line[end:])


def _closing(line: str, opening: int) -> int:
    """The place after the bracket that closes the one at `opening`."""
    depth = 0
    for place in range(opening, len(line)):
        depth += {"(": 1, ")": -1}.get(line[place], 0)
        if not depth:
            return place + 1
    raise ValueError(f"an HLO line without its closing bracket: {line[:200]}")


def _parse_shapes(text: str) -> tuple[Shape, ...]:
    found = re.finditer(r"(\w+)\[([\d,<=]*)\](?:\{([\d,]*)(?::([^}]*))?\})?", text)
    return tuple(_shape(m[1], m[2], m[3] or "", m[4] or "") for m in found)


@functools.cache
def _shape(dtype: str, dims: str, order: str, rest: str) -> Shape:
    numbers = lambda s: tuple(int(n.strip("<=")) for n in s.split(",") if n)  # noqa: E731
    tile = re.match(r"T\(([\d,]+)\)", rest)
    space = re.search(r"S\((\d+)\)", rest)
    in_hbm = space is None or space[1] == "0"
    return Shape(dtype, numbers(dims), numbers(order), numbers(tile[1]) if tile else (), in_hbm)


def _item_bytes(dtype: str) -> float:
    return BYTES[dtype] if dtype in BYTES else int(re.match(r"[a-z](\d+)", dtype)[1]) / 8
