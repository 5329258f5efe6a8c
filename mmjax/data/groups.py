"""Batches of one group: a number for every sample, a batch drawn among samples of one number, in exact shares."""

import hashlib

import numpy as np

from mmjax.data.order import Order, epoch_keys, permute
from mmjax.errors import UserError


class GroupedOrder:
    """The record of every row of every batch, all rows of a batch being of one group.

    Every group is an `Order` of its own. An epoch is as many batches of each group as its samples fill; which group
    comes when is a permutation of the epoch's batches, so that a batch is a function of (seed, step) as ever.

    Args:
        seed: the run's seed.
        groups: (N,) int64, the group of each record.
        batch_size: rows of the global batch.
        where: what messages name as the place of the groups.

    Raises:
        UserError: a group has fewer samples than a batch.
    """

    def __init__(self, seed: int, groups: np.ndarray, batch_size: int, where: str = "config.data.groups"):
        numbers, sizes = np.unique(groups, return_counts=True)
        least = int(np.argmin(sizes))
        if sizes[least] < batch_size:
            raise UserError(
                f"group {numbers[least]} has {sizes[least]} samples, fewer than one batch of {batch_size}",
                where=where,
                remedy="lower config.batch_size, or make fewer or larger groups",
            )
        self.seed, self.batch_size = seed, batch_size
        self._members = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
        self._orders = [
            Order(seed, int(size), batch_size, purpose=f"data/group/{number}")
            for number, size in zip(numbers, sizes, strict=True)
        ]
        self._ends = np.cumsum(sizes // batch_size)
        self.batches_per_epoch = int(self._ends[-1])

    def group(self, step: int) -> tuple[int, int]:
        """(place of the group among the sorted numbers, number of the batch within the group) of a step."""
        epoch, position = divmod(int(step), self.batches_per_epoch)
        keys = epoch_keys(self.seed, "data/groups", epoch)
        batch = int(permute(np.array([position]), self.batches_per_epoch, keys)[0])
        place = int(np.searchsorted(self._ends, batch, side="right"))
        own = self._orders[place].batches_per_epoch
        return place, epoch * own + batch - (int(self._ends[place]) - own)

    def records(self, step: int, rows: np.ndarray, attempt: int = 0) -> np.ndarray:
        """The records of `rows` (N,) of the batch of `step`, (N,) int64; stand-ins too are of its group."""
        place, step = self.group(step)
        return self._members[place][self._orders[place].records(step, rows, attempt)]


def load_groups(path: str, count: int) -> np.ndarray:
    """The (count,) int64 group numbers of a .npy file, one for each sample of the source.

    Raises:
        UserError: it cannot be read, or holds something else.
    """
    try:
        groups = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        remedy = "give a .npy of one whole number for each sample"
        raise UserError(f"cannot read the groups: {error}", where=path, remedy=remedy) from error
    if groups.shape != (count,) or not np.issubdtype(groups.dtype, np.integer):
        said = f"groups {groups.dtype} {groups.shape} for a source of {count} samples"
        raise UserError(said, where=path, remedy=f"give {count} whole numbers, one for each sample")
    return groups.astype(np.int64)


def groups_fingerprint(path: str) -> str:
    """16 hexadecimal digits of a file of groups."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
