"""Batches of one group: shares, epochs, independence of history, the pipeline, and groups that do not fit."""

import numpy as np
import pytest

from mmjax import config as c
from mmjax.data.groups import GroupedOrder
from mmjax.data.order import Order
from mmjax.data.pipeline import TrainPipeline
from mmjax.errors import UserError

GROUPS = np.random.default_rng(0).permutation(np.repeat([7, -1, 3], [10, 23, 41]))


def batches(order, steps):
    return [order.records(step, np.arange(5)) for step in steps]


def test_an_epoch_has_as_many_batches_of_a_group_as_it_fills_and_no_record_twice():
    order = GroupedOrder(0, GROUPS, 5)
    assert order.batches_per_epoch == 2 + 4 + 8
    for epoch in range(3):
        drawn = batches(order, range(14 * epoch, 14 * epoch + 14))
        groups = [set(GROUPS[records]) for records in drawn]
        assert all(len(group) == 1 for group in groups)
        counts = {number: sum(group == {number} for group in groups) for number in (7, -1, 3)}
        assert counts == {7: 2, -1: 4, 3: 8}
        flat = np.concatenate(drawn)
        assert len(set(flat.tolist())) == len(flat) == 70
        assert {int(g) for group in groups[:9] for g in group} != {7}, "the groups are mixed over the epoch"


def test_what_is_left_over_and_the_course_of_groups_vary():
    order, other = GroupedOrder(0, GROUPS, 5), GroupedOrder(1, GROUPS, 5)
    left = [set(range(74)) - set(np.concatenate(batches(order, range(14 * e, 14 * e + 14))).tolist()) for e in range(9)]
    assert len(set().union(*left)) > 10
    course = lambda o, epoch: tuple(o.group(14 * epoch + n)[0] for n in range(14))  # noqa: E731
    assert len({course(order, 0), course(order, 1), course(other, 0), course(other, 1)}) == 4


def test_a_batch_depends_on_seed_and_step_alone():
    order = GroupedOrder(3, GROUPS, 5)
    later = batches(order, [10**9, 5, 17])
    np.testing.assert_array_equal(later, batches(GroupedOrder(3, GROUPS, 5), [10**9, 5, 17]))
    np.testing.assert_array_equal(later[2][2:4], order.records(17, np.array([2, 3])))


def test_stand_ins_are_of_the_group_and_of_no_other_row():
    order = GroupedOrder(1, GROUPS, 5)
    for step in range(14):
        tried = np.stack([order.records(step, np.arange(5), attempt) for attempt in range(2)])
        assert len(set(GROUPS[tried].ravel())) == 1 and len(set(tried.ravel())) == 10


def test_one_group_is_an_order_of_all_records_with_keys_of_its_own():
    order, whole = GroupedOrder(0, np.full(20, 4), 5), Order(0, 20, 5)
    assert order.batches_per_epoch == whole.batches_per_epoch == 4
    assert sorted(np.concatenate(batches(order, range(4)))) == list(range(20))
    assert np.any(np.stack(batches(order, range(4))) != np.stack(batches(whole, range(4))))


def latent(tmp_path, groups, **changes):
    config = c.default()
    config.data.source = "latent:train,count=40,shared=2,widths=3/3"
    config.data.groups = str(tmp_path / "groups.npy")
    np.save(config.data.groups, groups)
    config.data.update(changes)
    return config.data


def test_the_pipeline_draws_within_groups_and_tells_other_groups_apart(tmp_path):
    groups = np.arange(40) % 4
    data = latent(tmp_path, groups)
    pipeline = TrainPipeline(data, ("vector", "vector_2"), 0, 8)
    assert pipeline.batches_per_epoch == 4
    for step in range(6):
        assert len(set(groups[pipeline.batch(step)["id"]])) == 1
    parts = [TrainPipeline(data, ("vector",), 0, 8, index, 4).batch(3)["id"] for index in range(4)]
    np.testing.assert_array_equal(np.concatenate(parts), pipeline.batch(3)["id"])
    before = pipeline.fingerprint()
    assert TrainPipeline(latent(tmp_path, groups // 2), ("vector",), 0, 8).fingerprint() != before
    assert before.startswith(pipeline.source.fingerprint() + ", groups ")


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (np.arange(39) % 3, r"groups int64 \(39,\) for a source of 40"),
        (np.arange(40) % 3 * 0.5, r"groups float64 \(40,\) for a source of 40"),
        (np.arange(40) // 39, "group 1 has 1 samples, fewer than one batch of 8"),
    ],
)
def test_groups_that_do_not_fit(tmp_path, groups, said):
    with pytest.raises(UserError, match=said):
        TrainPipeline(latent(tmp_path, groups), ("vector",), 0, 8)


def test_no_groups_there_and_groups_of_a_mixture(tmp_path):
    data = latent(tmp_path, np.arange(40) % 4)
    data.mixture.a = c.part("latent:train,count=40,shared=2,widths=3/3")
    with pytest.raises(UserError, match="a mixture has no batches of one group"):
        TrainPipeline(data, ("vector",), 0, 8)
    del data.mixture.a
    data.groups = str(tmp_path / "none.npy")
    with pytest.raises(UserError, match="cannot read the groups"):
        TrainPipeline(data, ("vector",), 0, 8)
