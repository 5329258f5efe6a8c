"""Samples that cannot be read: counted by reason, reported with examples, fatal past a stated share."""

from collections import Counter
from typing import NamedTuple

from mmjax.errors import UserError

EXAMPLES_KEPT = 3
# A share of very few rows says little: one bad sample among the first hundred is not yet one per cent.
FEWEST_ROWS = 1000


class Unreadable(Exception):
    """One sample cannot be used.

    Args:
        reason: the kind of fault, the same words for every sample that has it, since faults are counted by it.
        detail: what is particular to this sample.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class Lacking(Unreadable):
    """A sample has no such picture, caption or vector: a fault, but for a stream that may be missing."""


class Fault(NamedTuple):
    """One unreadable sample: why, in which shard, under which key."""

    reason: str
    url: str
    key: str
    detail: str

    def __str__(self):
        return f"{self.url} [{self.key}]: {self.reason}" + (f" ({self.detail})" if self.detail else "")


class UnreadableCount:
    """How many rows were asked for and which of them could not be read.

    Args:
        limit: the share of unreadable samples, 0 to 1, past which `add` raises.
    """

    def __init__(self, limit: float):
        self.limit, self.rows = limit, 0
        self.reasons: Counter[str] = Counter()
        self.examples: list[Fault] = []

    def add(self, rows: int, faults: list[Fault]):
        """Counts `rows` more rows and their faults; UserError when the share passes the limit."""
        self.rows += rows
        for fault in faults:
            if self.reasons[fault.reason] < EXAMPLES_KEPT:
                self.examples.append(fault)
            self.reasons[fault.reason] += 1
        unreadable = self.reasons.total()
        if unreadable > self.limit * max(self.rows, FEWEST_ROWS):
            raise UserError(
                f"{unreadable} unreadable samples among {self.rows} rows: {self.by_reason()}",
                where="; ".join(map(str, self.examples)),
                remedy=f"mend or remove them, or raise config.data.max_unreadable (now {self.limit:g})",
            )

    def metrics(self) -> dict[str, float]:
        """Counts since this process began, "data/unreadable/<reason>"; empty while all were read."""
        reasons = dict(self.reasons)  # another thread may be adding to it
        return {f"data/unreadable/{reason}": float(count) for reason, count in reasons.items()}

    def by_reason(self) -> str:
        """For example "3 x image does not decode, 1 x caption is empty"; "none" if all were read."""
        return ", ".join(f"{n} x {reason}" for reason, n in self.reasons.most_common()) or "none"
