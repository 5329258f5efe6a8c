"""Which records make which batch: a pure function of (seed, step), in constant memory.

An epoch is a pseudo-random permutation of the records, evaluated at single positions by a Feistel network over
Z_a x Z_b with a*b barely above the number of records (Black and Rogaway 2002, "Ciphers with arbitrary finite domains",
sections 4 and 5); the few outputs that are no record are enciphered again ("cycle walking"). The formula is our own,
not the data loader's, so that a checkpoint continues with the same batches whatever library version reads it.
"""

import math
from collections.abc import Sequence

import numpy as np

from mmjax.data.proportions import LONGEST_CYCLE, Proportions
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

ROUNDS = 12


def permute(positions: np.ndarray, count: int | np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The images of `positions` (N,) under a permutation of range(count), an (N,) int64 array.

    Args:
        positions: integers in [0, count).
        count: one for all positions, or (N,): positions of several permutations at once.
        keys: (ROUNDS,) uint64, naming the permutation, or (ROUNDS, N).
    """
    count = np.broadcast_to(count, positions.shape)
    keys = np.broadcast_to(keys.reshape(ROUNDS, -1), (ROUNDS, len(positions)))
    rows = _square_sides(count)
    columns = -(-count // rows)
    result = _encipher(positions.astype(np.uint64), rows, columns, keys)
    while (outside := result >= count).any():
        result[outside] = _encipher(result[outside], rows[outside], columns[outside], keys[:, outside])
    return result.astype(np.int64)


def _square_sides(counts):
    distinct, places = np.unique(counts, return_inverse=True)
    return np.array([math.isqrt(count - 1) + 1 for count in distinct.tolist()], np.int64)[places]


def _encipher(numbers, rows, columns, keys):
    rows, columns = rows.astype(np.uint64), columns.astype(np.uint64)
    left, right = np.divmod(numbers, columns)
    for turn, key in enumerate(keys):
        if turn % 2:
            right = (right + _mix(left ^ key)) % columns
        else:
            left = (left + _mix(right ^ key)) % rows
    return left * columns + right


def _mix(x: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser (Steele et al. 2014), shifted so that adding a row number cannot overflow."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x ^ (x >> np.uint64(31))) >> np.uint64(1)


class Order:
    """The record of every row of every batch, of one source or of the parts of a mixture.

    Every part is walked in epochs of its own: as many steps as never need one of its records twice, so that no batch
    holds a record twice; the records left over differ from epoch to epoch. How many rows a part has in a batch is
    `Proportions`; which rows these are is drawn for each step.

    Args:
        seed: the run's seed.
        count: number of records; of a mixture, of each part's records, which are numbered part after part.
        batch_size: rows of the global batch.
        weights: of the parts.
        names: of the parts, for messages.
        purpose: what its random keys are for; orders of different purposes are independent.
    """

    def __init__(
        self, seed: int, count: int | Sequence[int], batch_size: int, weights=(1,), names=(), purpose="data/order"
    ):
        counts = [count] if isinstance(count, int) else list(count)
        self.seed, self.batch_size = seed, batch_size
        self.batches_per_epoch = sum(counts) // batch_size
        self._proportions = Proportions(weights, batch_size)
        self._counts, self._starts = np.array(counts), np.cumsum([0, *counts])
        for name, records, most in zip(
            names or ["the source"] * len(counts), counts, self._proportions.most.tolist(), strict=True
        ):
            _check_size(name, records, most, alone=len(counts) == 1)
        self._walks = [Walk(seed, part, records, self._proportions, purpose) for part, records in enumerate(counts)]

    def records(self, step: int, rows: np.ndarray, attempt: int = 0) -> np.ndarray:
        """The records of `rows` (N,) of the batch of `step`, an (N,) int64 array.

        Args:
            step: number of the batch, from 0.
            rows: row numbers in [0, batch_size).
            attempt: 0 for the record itself; k for the k-th of the same part to stand in when it and those before
                cannot be read (see `Walk`).
        """
        step = int(step)
        slots = rows
        if len(self._walks) > 1:
            slots = permute(rows, self.batch_size, epoch_keys(self.seed, "data/mixture", step))
        before, after = self._proportions.before(step), self._proportions.before(step + 1)
        ends = (after - before).cumsum()
        parts = np.searchsorted(ends, slots, side="right")
        places = slots - (ends - (after - before))[parts]
        positions, keys = np.empty(len(rows), np.int64), np.empty((ROUNDS, len(rows)), np.uint64)
        for part in set(parts.tolist()):
            mine = parts == part
            positions[mine], part_keys = self._walks[part].positions(step, places[mine], attempt)
            keys[:, mine] = part_keys[:, None]
        return self._starts[parts] + permute(positions, self._counts[parts], keys)


class Walk:
    """One part's records in the order of its own epochs.

    Args:
        seed: the run's seed.
        part: its number.
        count: its records.
        proportions: of the mixture.
        purpose: of its random keys.
    """

    def __init__(self, seed: int, part: int, count: int, proportions: Proportions, purpose: str = "data/order"):
        self._seed, self._part, self._count, self._proportions = seed, part, count, proportions
        self._purpose = f"{purpose}/{part}" if part else purpose
        self._steps = proportions.longest_run(part, count)

    def positions(self, step: int, places: np.ndarray, attempt: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions (N,) in the part's permutation of that epoch, and its keys (ROUNDS,).

        The stand-in of attempt k is as many batches of this size further in the epoch, beginning again at its end, and
        is in no other row's list. When these run out (as they do at once where an epoch is one batch), the records
        before are taken.

        Args:
            step: number of the batch.
            places: (N,) row numbers among the part's rows in this batch.
            attempt: as in `Order.records`.
        """
        epoch = step // self._steps
        first, start, end, last = (
            int(self._proportions.before(at)[self._part])
            for at in (epoch * self._steps, step, step + 1, (epoch + 1) * self._steps)
        )
        rows, used = end - start, last - first
        if attempt < used // rows:
            positions = (start - first + places + attempt * rows) % used
        else:
            positions = (start - first + places - attempt) % self._count
        return positions, epoch_keys(self._seed, self._purpose, epoch)


def _check_size(name, count, most, alone):
    if not most:
        raise UserError(
            f"{name} has too small a weight to give a single row in {LONGEST_CYCLE} batches",
            where="config.data.mixture",
            remedy="raise its weight, or leave it out",
        )
    if count < most:
        raise UserError(
            f"{name} has {count} samples, fewer than "
            + (f"one batch of {most}" if alone else f"its {most} of a batch"),
            where="config.batch_size",
            remedy=f"set it to at most {count}, or use more data" if alone else "lower it or the weight of this part",
        )


def epoch_keys(seed: int, purpose: str, number: int) -> np.ndarray:
    """The (ROUNDS,) uint64 keys of one permutation, such as that of an epoch."""
    return numpy_generator(seed, purpose, number).integers(2**64, size=ROUNDS, dtype=np.uint64)
