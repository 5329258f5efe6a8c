"""Placing batches and reading ahead of the step."""

import threading
import time

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mmjax.data.device import place, prefetch_to_device


def test_place_splits_the_rows_over_the_mesh():
    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))
    batch = {"image": np.arange(8 * 2, dtype=np.uint8).reshape(8, 2), "id": np.arange(8, dtype=np.int32)}
    placed = place(batch, NamedSharding(mesh, PartitionSpec("data")))
    for name, array in placed.items():
        np.testing.assert_array_equal(np.asarray(array), batch[name])
        assert array.dtype == batch[name].dtype
        assert [shard.data.shape[0] for shard in array.addressable_shards] == [2] * 4


def test_prefetch_keeps_the_order():
    assert list(prefetch_to_device(range(20), lambda n: n * n)) == [n * n for n in range(20)]


class Numbers:
    """Counts what was taken from it, may fail, and knows whether it was closed."""

    def __init__(self, fails_at=10**9):
        self.taken, self.closed, self.fails_at = 0, False, fails_at

    def __iter__(self):
        return self

    def __next__(self):
        if self.taken == self.fails_at:
            raise ValueError("no more")
        self.taken += 1
        return self.taken

    def close(self):
        self.closed = True


def test_prefetch_runs_ahead_by_its_size_and_closes():
    numbers = Numbers()
    batches = prefetch_to_device(numbers, lambda n: n, size=3)
    assert next(batches) == 1
    time.sleep(0.4)
    assert numbers.taken == 5  # one given, three waiting, one in hand
    before = threading.active_count()
    batches.close()
    assert numbers.closed
    assert threading.active_count() == before - 1


@pytest.mark.parametrize("size", [1, 2])
def test_prefetch_passes_exceptions_in_their_turn(size):
    numbers = Numbers(fails_at=2)
    batches = prefetch_to_device(numbers, lambda n: n, size)
    assert [next(batches), next(batches)] == [1, 2]
    with pytest.raises(ValueError, match="no more"):
        next(batches)
    assert numbers.closed


def test_prefetch_passes_exceptions_of_place():
    def refuse(_):
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        next(prefetch_to_device(range(3), refuse))
