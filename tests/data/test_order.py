"""The order of records: permutations, batches without repeats, slices, and independence of seeds and epochs."""

import numpy as np
import pytest

from mmjax.data.order import ROUNDS, Order, permute
from mmjax.data.proportions import Proportions
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


# Recorded from the single-source formula before it knew parts: seed 7, 1304 records, batches of 6.
RECORDED = {
    (0, 0): [893, 779, 252, 1236, 1182, 1277],
    (433, 0): [750, 197, 757, 112, 1156, 1285],
    (433, 2): [206, 642, 498, 217, 99, 1274],
}


@pytest.mark.parametrize(("step", "attempt"), RECORDED)
def test_one_source_keeps_its_order(step, attempt):
    assert Order(7, 1304, 6).records(step, np.arange(6), attempt).tolist() == RECORDED[step, attempt]


def counts_by_part(order, sizes, batch_size, steps):
    """(steps, parts): rows of each part in every batch."""
    ends = np.cumsum(sizes)
    parts = [np.searchsorted(ends, order.records(step, np.arange(batch_size)), side="right") for step in steps]
    return np.stack([np.bincount(part, minlength=len(sizes)) for part in parts])


@pytest.mark.parametrize(
    ("weights", "batch_size", "cycle"),
    [((1, 1), 8, 1), ((1, 1, 1), 8, 3), ((0.7, 0.2, 0.1), 128, 5), ((5, 1, 0.25), 4, 25), ((99, 1), 10, 10)],
)
def test_parts_have_exactly_their_share_of_every_cycle(weights, batch_size, cycle):
    sizes = [1000] * len(weights)
    order = Order(0, sizes, batch_size, weights)
    counts = counts_by_part(order, sizes, batch_size, range(3 * cycle))
    shares = np.array(weights) / sum(weights) * batch_size
    assert (np.abs(counts - shares) < 1).all()
    for start in (0, cycle, 2 * cycle, 1):
        np.testing.assert_allclose(counts[start : start + cycle].sum(0), shares * cycle, rtol=1e-12)


def test_a_share_is_never_far_behind_within_a_long_cycle():
    proportions = Proportions((641, 200, 159), 100)
    assert proportions.cycle == 10
    far = Proportions((6.41, 2.003, 1.587), 100)
    assert far.cycle == 100
    shares = np.array([64.1, 20.03, 15.87])
    assert max(np.abs(far.before(step) - step * shares).max() for step in range(100)) < 3


def test_awkward_weights_are_rounded_to_a_row_in_a_thousand_batches():
    weights = (0.123457, 0.654321, 0.222222)
    proportions = Proportions(weights, 7)
    assert proportions.cycle <= 1024
    rows = proportions.before(proportions.cycle) / proportions.cycle
    np.testing.assert_allclose(rows, 7 * np.array(weights), atol=1 / 1024)


def test_every_part_is_walked_in_epochs_of_its_own():
    sizes, batch_size = [40, 7, 300], 10
    order = Order(3, sizes, batch_size, (5, 2, 3))
    records = np.concatenate([order.records(step, np.arange(batch_size)) for step in range(8)])
    first = records[records < 40]
    assert len(first) == 40 == len(set(first.tolist())), "8 batches of 5 are one epoch of the first part"
    second = records[(records >= 40) & (records < 47)].reshape(8, 2)
    for epoch in (second[:3], second[3:6]):
        assert len(set(epoch.ravel().tolist())) == 6, "3 batches of 2 are an epoch that leaves one of 7 out"
    third = records[records >= 47]
    assert len(set(third.tolist())) == 24 and third.max() < 347


@pytest.mark.parametrize("weights", [(0.55, 0.45), (1, 7.3), (0.3, 0.7)])
def test_no_batch_of_a_mixture_holds_a_record_twice(weights):
    sizes, batch_size = [9, 11], 9
    order = Order(11, sizes, batch_size, weights)
    for step in range(200):
        assert len(set(order.records(step, np.arange(batch_size)).tolist())) == batch_size


def test_rows_of_the_parts_are_mixed_and_can_be_asked_for_in_any_pieces():
    order = Order(0, [500, 500], 20, (1, 1))
    whole = [order.records(step, np.arange(20)) for step in range(100)]
    share_of_first = np.mean([records < 500 for records in whole], axis=0)
    assert (abs(share_of_first - 0.5) < 0.25).all(), "every row has either part, step by step"
    for step in (3, 99):
        pieces = [order.records(step, np.array([row]))[0] for row in range(20)]
        np.testing.assert_array_equal(whole[step], pieces)


def test_stand_ins_come_from_the_same_part_and_are_in_no_other_rows_list():
    sizes = [30, 60, 25]
    ends = np.cumsum(sizes)
    order = Order(5, sizes, 12, (2, 3, 1))
    for step in (0, 1, 5, 17):
        lists = np.stack([order.records(step, np.arange(12), attempt) for attempt in range(4)], axis=1)
        assert len(set(lists.ravel().tolist())) == 48
        parts = np.searchsorted(ends, lists, side="right")
        assert (parts == parts[:, :1]).all()


def test_parts_differ_in_their_permutations():
    order = Order(0, [1000, 1000], 200, (1, 1))
    records = order.records(0, np.arange(200))
    assert set(records[records < 1000].tolist()) != set((records[records >= 1000] - 1000).tolist())


def test_a_part_with_too_few_records_or_too_small_a_weight():
    with pytest.raises(UserError, match="part 'b' has 3 samples, fewer than its 5 of a batch"):
        Order(0, [100, 3], 10, (1, 1), ("part 'a'", "part 'b'"))
    with pytest.raises(UserError, match="part 'b' has too small a weight"):
        Order(0, [100, 3], 10, (1, 1e-6), ("part 'a'", "part 'b'"))


def test_thirty_parts_and_a_trillion_records():
    sizes = [2**35] * 30
    records = Order(0, sizes, 256, range(1, 31)).records(10**7, np.arange(256))
    assert np.bincount(records >> 35, minlength=30)[-1] in (16, 17)
    assert len(set(records.tolist())) == 256
