"""Samples that were replaced are counted by reason in the rows of metrics.jsonl."""

from mmjax.data.unreadable import Fault, UnreadableCount
from mmjax.training.history import read_history
from mmjax.training.train import train
from tests import tiny
from tests.data.shards import pairs, write_tar


def test_counts_by_reason():
    count = UnreadableCount(1.0)
    assert count.metrics() == {}
    count.add(4, [Fault("caption is empty", "a.tar", "1", ""), Fault("caption is empty", "a.tar", "2", "")])
    count.add(4, [Fault("image does not decode", "a.tar", "3", "")])
    assert count.metrics() == {"data/unreadable/caption is empty": 2.0, "data/unreadable/image does not decode": 1.0}


def test_metrics_of_a_run_hold_them(tmp_path):
    config = tiny.get_config("4")
    del config.evaluations.unseen
    bad = {f"{n:09d}.png": b"no picture" for n in range(0, 20, 2)}  # every other one
    config.data.source = write_tar(tmp_path / "a.tar", [(name, bad.get(name, data)) for name, data in pairs(20)])
    config.data.captions, config.data.max_unreadable = (("{txt}", 1.0),), 1.0
    train(config, tmp_path / "run")
    rows = read_history(tmp_path / "run")
    counts = [row.get("data/unreadable/image does not decode", 0.0) for row in rows]
    # Every step is an epoch of 20 with 16 rows: at least 6 of the 10 bad samples are met in each.
    assert len(rows) == 4 and counts == sorted(counts) and counts[-1] >= 24
