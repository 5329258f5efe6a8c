"""What one run of an optimised HLO module costs a chip: FLOPs, main-memory traffic, collectives.

XLA's own `cost_analysis()` counts the body of a loop once, whatever its trip count; here every cost is multiplied by
the trip counts of the loops around it.
"""

import dataclasses

from mmjax.plan import traffic
from mmjax.plan.collectives import COLLECTIVES, collective
from mmjax.plan.hlo import Computation, Instruction, Module, parse_module
from mmjax.plan.loops import trip_count
from mmjax.plan.products import product_flops

# Passes of the bfloat16 matrix unit that a float32 product takes at each precision.
PASSES = {"highest": 6, "high": 3}


@dataclasses.dataclass
class Cost:
    """What a chip does in one run.

    Attributes:
        flops: of matrix products and convolutions, two for each multiply-add.
        bf16_flops: the same, with products of higher precision counted as the bfloat16 passes that they are made of.
        hbm_bytes: bytes read from and written to main memory.
        collectives: kind -> [how many run, bytes that each chip receives].
        unknown: what could not be counted, such as loops of unknown length.
    """

    flops: float = 0
    bf16_flops: float = 0
    hbm_bytes: float = 0
    collectives: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    unknown: list[str] = dataclasses.field(default_factory=list)

    def add(self, other: "Cost", times: int) -> None:
        """Add `times` runs of another cost."""
        self.flops += times * other.flops
        self.bf16_flops += times * other.bf16_flops
        self.hbm_bytes += times * other.hbm_bytes
        for kind, (count, size) in other.collectives.items():
            before = self.collectives.get(kind, [0, 0])
            self.collectives[kind] = [before[0] + times * count, before[1] + times * size]
        self.unknown += [what for what in other.unknown if what not in self.unknown]


def dearer_branch(name: str, least: Cost, most: Cost) -> list[str]:
    """What a conditional costs beyond its cheapest branch, which is what every run takes at least; [] if nothing."""
    received = [sum(size for _, size in cost.collectives.values()) for cost in (least, most)]
    more = (
        (most.flops - least.flops) / 1e12,
        (most.hbm_bytes - least.hbm_bytes) / 1e9,
        (received[1] - received[0]) / 1e9,
    )
    if max(more) <= 0:
        return []
    work = "{:.3g} TFLOP, {:.3g} GB of HBM, {:.3g} GB received".format(*more)
    return [f"what the dearest branch of {name} takes, when it is taken: {work} more"]


def count_costs(text: str) -> Cost:
    """The cost of one run of the module that `text`, a `compiled.as_text()`, describes."""
    module = parse_module(text)
    return _Counter(module).computation(module.computations[module.entry])


class _Counter:
    """Walks a module; computations that are called from several places are counted once and remembered."""

    def __init__(self, module: Module):
        self.module = module
        self._known: dict[str, Cost] = {}

    def computation(self, computation: Computation) -> Cost:
        """The cost of one run of the body of a loop, a branch, or the entry."""
        if computation.name not in self._known:
            total, channels = Cost(), set()
            for instruction in computation.instructions.values():
                self._add(total, computation, instruction, channels)
            self._known[computation.name] = total
        return self._known[computation.name]

    def _add(self, total: Cost, computation: Computation, instruction: Instruction, channels: set) -> None:
        opcode = instruction.opcode
        if opcode == "while":
            trips = self._trips(computation, instruction, total)
            total.add(self.computation(self.module.computations[instruction.attribute(r"body=%?([\w.-]+)")]), trips)
        elif opcode == "conditional":
            branches = [self.computation(self.module.computations[name]) for name in instruction.called]
            least, *_, most = sorted(branches, key=lambda cost: (cost.flops, cost.hbm_bytes))
            total.add(least, 1)
            total.add(Cost(unknown=dearer_branch(instruction.name, least, most)), 1)
        elif opcode in ("call", "async-start"):
            for name in instruction.called:
                total.add(self.computation(self.module.computations[name]), 1)
        else:
            total.hbm_bytes += traffic.hbm_bytes(self.module, computation, instruction)
            self._add_work(total, computation, instruction, channels)

    def _add_work(
        self, total: Cost, computation: Computation, instruction: Instruction, channels: set, begun: bool = False
    ) -> None:
        """Products and collectives of an instruction, inside fusions too; `begun`: by one that begins a collective."""
        kind = instruction.opcode.removesuffix("-start")
        if instruction.opcode in ("dot", "convolution"):
            flops = product_flops(computation, instruction)
            total.flops += flops
            total.bf16_flops += flops * PASSES.get(instruction.attribute(r"operand_precision=\{(\w+)"), 1)
        elif kind in COLLECTIVES:
            # Of a collective that goes on in the background, what a loop's rounds run beside is no further one.
            if instruction.channel not in channels and (begun or instruction.channel not in self.module.background):
                channels.add(instruction.channel)
                kind, received = collective(computation, instruction, kind)
                total.add(Cost(collectives={kind: [1, received]}), 1)
        elif instruction.opcode == "fusion":
            inside = self.module.computations[instruction.called[0]]
            for inner in inside.instructions.values():
                self._add_work(total, inside, inner, channels, inside.begins)
        elif instruction.attribute(r'custom_call_target="(\w+)"') == "tpu_custom_call":
            # A kernel in Mosaic, XLA's own fused attention for one; most bring an estimate of what they do.
            flops = instruction.attribute(r'"cost_estimate":\{[^}]*"flops":"(\d+)"')
            what = [] if flops else [f"the FLOPs of the kernel {instruction.name}"]
            total.add(Cost(flops=int(flops or 0), bf16_flops=int(flops or 0), unknown=what), 1)

    def _trips(self, computation: Computation, loop: Instruction, total: Cost) -> int:
        trips = trip_count(self.module, computation, loop)
        if trips is None:
            total.add(Cost(unknown=[f"the trip count of the loop {loop.name}, taken as 1"]), 1)
        return 1 if trips is None else trips
