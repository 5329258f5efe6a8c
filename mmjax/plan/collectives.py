"""What the collectives of an HLO program move between chips."""

import math
import re

from mmjax.plan.hlo import Computation, Instruction

COLLECTIVES = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)


def collective(computation: Computation, instruction: Instruction, kind: str) -> tuple[str, float]:
    """(kind, bytes that each chip must receive) of a collective over groups of n chips.

    all-gather: (n - 1) x its input; reduce-scatter and all-to-all: (n - 1) / n of it; all-reduce: a reduce-scatter and
    an all-gather of the result; collective-permute: the input.
    """
    given = sum(s.size for o in instruction.operands for s in computation.instructions[o].shapes)
    n = group_size(instruction.attributes)
    users = computation.users[instruction.name]
    if kind == "all-reduce" and users and all(u.opcode in ("dynamic-slice", "slice") for u in users):
        kind = "reduce-scatter"  # how TPU programs write one: a fusion that keeps a slice of the sum
    shares = {"all-gather": n - 1, "all-reduce": 2 * (n - 1) / n}
    shares |= {"collective-permute": 1, "collective-broadcast": 1}
    return kind, given * shares.get(kind, (n - 1) / n)


def group_size(attributes: str) -> int:
    """Chips in a replica group: "{{0,1},{2,3}}", "[4,2]<=[8]" or "mesh['a'=4,'b'=2] {'b'}"; 1 if none are given."""
    if match := re.search(r"replica_groups=\{\{([\d,]*)\}", attributes):
        return len(match[1].split(","))
    if match := re.search(r"replica_groups=\[\d+,(\d+)\]<=", attributes):
        return int(match[1])
    if match := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", attributes):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", match[1]))
        parts = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", match[2])
        return math.prod(int(part or sizes[axis]) for axis, part in parts)
    return 1
