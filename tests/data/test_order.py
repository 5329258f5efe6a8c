"""The order of records: permutations, batches without repeats, slices, and independence of seeds and epochs."""

import numpy as np
import pytest

from mmjax.data.order import ROUNDS, Order, permute
from mmjax.errors import UserError


def keys(number):
    return np.random.default_rng(number).integers(2**64, size=ROUNDS, dtype=np.uint64)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10, 97, 1304, 4096, 99991])
def test_permute_is_a_permutation(count):
    np.testing.assert_array_equal(np.sort(permute(np.arange(count), count, keys(count))), np.arange(count))


def test_permute_of_a_billion_is_pointwise():
    positions = np.array([0, 1, 2, 10**9 - 1, 123456789])
    together = permute(positions, 10**9, keys(0))
    np.testing.assert_array_equal(together, [permute(positions[i : i + 1], 10**9, keys(0))[0] for i in range(5)])
    assert len(set(together.tolist())) == 5
    assert ((together >= 0) & (together < 10**9)).all()


def test_permutations_look_uniform():
    """Over 3,000 epochs of 12 records: where record 0 goes, and which record follows it, by chi-square at p = 1e-4."""
    images = np.stack([permute(np.arange(12), 12, keys(n)) for n in range(3000)])
    place = np.argmax(images == 0, axis=1)
    follower = images[np.arange(3000), (place + 1) % 12]
    for counts, cells in ((np.bincount(place, minlength=12), 12), (np.bincount(follower, minlength=12)[1:], 11)):
        statistic = ((counts - 3000 / cells) ** 2 / (3000 / cells)).sum()
        assert statistic < 39, counts  # chi-square with 11 degrees of freedom exceeds 37.4 once in 10^4


def test_neighbours_are_scattered():
    images = permute(np.arange(100000), 100000, keys(1)).astype(float)
    assert abs(np.corrcoef(images[:-1], images[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(np.arange(100000), images)[0, 1]) < 0.02


def test_an_epoch_has_every_record_at_most_once_and_leftovers_vary():
    order = Order(seed=3, count=23, batch_size=5)
    left = set()
    for epoch in range(6):
        seen = np.concatenate([order.records(4 * epoch + batch, np.arange(5)) for batch in range(4)])
        assert len(set(seen.tolist())) == 20
        left |= set(range(23)) - set(seen.tolist())
    assert len(left) > 3, "the same records would be left out of every epoch"


def test_epochs_and_seeds_differ():
    firsts = {tuple(Order(seed, 1000, 10).records(step, np.arange(10))) for seed in range(5) for step in (0, 100, 200)}
    assert len(firsts) == 15


def test_rows_can_be_asked_for_in_any_parts():
    order = Order(seed=0, count=1000, batch_size=12)
    whole = order.records(77, np.arange(12))
    parts = np.concatenate([order.records(77, np.arange(first, first + 3)) for first in (0, 3, 6, 9)])
    np.testing.assert_array_equal(whole, parts)
    assert order.records(10**9, np.arange(12)).max() < 1000


def test_stand_ins_are_in_no_other_rows_list():
    order = Order(seed=1, count=53, batch_size=10)
    for step in (0, 3, 7):
        lists = np.stack([order.records(step, np.arange(10), attempt) for attempt in range(5)], axis=1)
        assert len(set(lists.ravel().tolist())) == 50


def test_a_stand_in_exists_even_where_an_epoch_is_one_batch():
    order = Order(seed=1, count=4, batch_size=4)
    tried = {int(order.records(0, np.array([2]), attempt)[0]) for attempt in range(4)}
    assert tried == {0, 1, 2, 3}


def test_too_few_records():
    with pytest.raises(UserError, match="3 samples, fewer than one batch of 4"):
        Order(0, 3, 4)
