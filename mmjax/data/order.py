"""Which records make which batch: a pure function of (seed, step), in constant memory.

An epoch is a pseudo-random permutation of the records, evaluated at single positions by a Feistel network over
Z_a x Z_b with a*b barely above the number of records (Black and Rogaway 2002, "Ciphers with arbitrary finite domains",
sections 4 and 5); the few outputs that are no record are enciphered again ("cycle walking"). The formula is our own,
not the data loader's, so that a checkpoint continues with the same batches whatever library version reads it.
"""

import math

import numpy as np

from mmjax.errors import UserError
from mmjax.rng import numpy_generator

ROUNDS = 12


def permute(positions: np.ndarray, count: int, keys: np.ndarray) -> np.ndarray:
    """The images of `positions` (N,) under a permutation of range(count), an (N,) int64 array.

    Args:
        positions: integers in [0, count).
        keys: (ROUNDS,) uint64, naming the permutation.
    """
    rows = math.isqrt(count - 1) + 1
    columns = -(-count // rows)
    result = _encipher(positions.astype(np.uint64), rows, columns, keys)
    while (outside := result >= count).any():
        result[outside] = _encipher(result[outside], rows, columns, keys)
    return result.astype(np.int64)


def _encipher(numbers, rows, columns, keys):
    rows, columns = np.uint64(rows), np.uint64(columns)
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
    """The record of every row of every batch.

    An epoch has `count // batch_size` whole batches, so that no batch holds a record twice; the records left over
    differ from epoch to epoch.

    Args:
        seed: the run's seed.
        count: number of records.
        batch_size: rows of the global batch.
    """

    def __init__(self, seed: int, count: int, batch_size: int):
        if count < batch_size:
            raise UserError(
                f"the source has {count} samples, fewer than one batch of {batch_size}",
                where="config.batch_size",
                remedy=f"set it to at most {count}, or use more data",
            )
        self.seed, self.count, self.batch_size = seed, count, batch_size
        self.batches_per_epoch = count // batch_size

    def records(self, step: int, rows: np.ndarray, attempt: int = 0) -> np.ndarray:
        """The records of `rows` (N,) of the batch of `step`, an (N,) int64 array.

        Args:
            step: number of the batch, from 0.
            rows: row numbers in [0, batch_size).
            attempt: 0 for the record itself; k for the k-th to stand in when it and those before cannot be read: the
                same row of the k-th batch after this one in the epoch, which is in no other row's list. When these
                run out (as they do at once where an epoch is one batch), the records that follow.
        """
        epoch, batch = divmod(int(step), self.batches_per_epoch)
        if attempt < self.batches_per_epoch:
            positions = (batch + attempt) % self.batches_per_epoch * self.batch_size + rows
        else:
            positions = (batch * self.batch_size + rows - attempt) % self.count
        keys = numpy_generator(self.seed, "data/order", epoch).integers(2**64, size=ROUNDS, dtype=np.uint64)
        return permute(positions, self.count, keys)
