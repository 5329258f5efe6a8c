"""How many rows of each batch come from each part of a mixture: exactly its weight over a short cycle of steps.

Systematic sampling: the rows of a batch are points one apart on a line of `batch_size` units, on which every part has
a stretch as long as its weight; each step of a cycle shifts the points by another multiple of 1 / cycle. A stretch of
length x then holds floor(x) or ceil(x) points, and over a cycle of c steps all c * x of them.
"""

import math
from bisect import bisect_right
from fractions import Fraction

import numpy as np

LONGEST_CYCLE = 1024


class Proportions:
    """The rows of every part in every batch.

    A cycle is the fewest steps over which every part's rows are whole, for weights 7, 2, 1 and 128 rows a batch 5
    steps. Where that would be more than LONGEST_CYCLE steps, shares are first rounded to a multiple of one row in
    LONGEST_CYCLE batches.

    Args:
        weights: of the parts, positive, of any sum.
        batch_size: rows of the global batch, B.

    Attributes:
        cycle: steps after which every part has had exactly its share.
        most: (P,) int64, the most rows of each part in one batch.
    """

    def __init__(self, weights, batch_size: int):
        rows = _rows_per_batch(weights, batch_size)
        self.cycle = math.lcm(*(share.denominator for share in rows))
        ends = np.array([round(share * self.cycle) for share in rows]).cumsum()
        # A point lies at its row number plus shift / cycle; a stretch ends at end / cycle.
        shifts = np.arange(self.cycle) * _stride(self.cycle) % self.cycle
        below = -((shifts[:, None] - ends) // self.cycle)
        rows_of = np.diff(below, axis=1, prepend=0)
        self.most = rows_of.max(0)
        self._before = np.concatenate([np.zeros((1, len(rows)), np.int64), rows_of.cumsum(0)])

    def before(self, step: int) -> np.ndarray:
        """(P,) int64: the rows of each part in all batches before that of `step`."""
        cycles, rest = divmod(step, self.cycle)
        return cycles * self._before[-1] + self._before[rest]

    def longest_run(self, part: int, count: int) -> int:
        """The greatest number of steps of which any run has at most `count` rows of a part; 0 if one has more."""
        totals = self._before[:, part]
        from_each = np.concatenate([totals, totals[1:] + totals[-1]])

        def most_rows(steps):
            cycles, rest = divmod(steps, self.cycle)
            return cycles * totals[-1] + (from_each[rest : rest + self.cycle] - totals[:-1]).max()

        return bisect_right(range(1, (count // int(totals[-1]) + 1) * self.cycle + 1), count, key=most_rows)


def _rows_per_batch(weights, batch_size) -> list[Fraction]:
    """The mean rows of each part, as fractions that add up to the batch."""
    exact = [Fraction(str(weight)) for weight in weights]
    rows = [batch_size * weight / sum(exact) for weight in exact]
    if math.lcm(*(share.denominator for share in rows)) <= LONGEST_CYCLE:
        return rows
    ends = [Fraction(round(sum(rows[: n + 1]) * LONGEST_CYCLE), LONGEST_CYCLE) for n in range(len(rows))]
    return [end - start for start, end in zip([Fraction(0), *ends], ends, strict=False)]


def _stride(cycle) -> int:
    """Coprime to the cycle and near its golden section, so that a part's larger batches are spread over the cycle."""
    return next(n for n in range(max(1, round(cycle * 0.618)), cycle + 1) if math.gcd(n, cycle) == 1)
