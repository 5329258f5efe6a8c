"""Rows of metrics.jsonl, the trackers beside it, and the profile of a window of steps."""

import math
import sys

import jax.numpy as jnp
import pytest

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.training.history import History, read_history
from mmjax.training.profiling import profiler


def config_with(**log):
    config = config_lib.default()
    config.log.update(log)
    return config


def test_rows_beyond_the_checkpoint_and_a_cut_one_are_dropped(tmp_path):
    history = History(tmp_path, 0)
    for step in (1, 2, 3):
        history.write(step, {"train/loss": step / 2})
    history.close()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "train/lo')
    assert [row["step"] for row in read_history(tmp_path)] == [1, 2, 3]
    History(tmp_path, 2).close()
    assert read_history(tmp_path) == [{"step": 1, "train/loss": 0.5}, {"step": 2, "train/loss": 1.0}]


def test_what_is_not_finite_is_null_in_the_file_and_nan_when_read(tmp_path):
    history = History(tmp_path, 0)
    history.write(1, {"train/loss": float("inf"), "train/lr": 0.5})
    history.close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "train/loss": null, "train/lr": 0.5}\n'
    row = read_history(tmp_path)[0]
    assert math.isnan(row["train/loss"]) and row["train/lr"] == 0.5


def test_tensorboard_gets_the_same_numbers(tmp_path):
    history = History(tmp_path, 0, config_with(tensorboard=True))
    history.write(5, {"train/loss": 0.25})
    history.close()
    events = next((tmp_path / "tensorboard").glob("events.*")).read_bytes()
    assert b"train/loss" in events


def test_tracker_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"wandb is not installed(.|\n)*pip install 'mmjax\[wandb\]'"):
        History(tmp_path, 0, config_with(wandb="project"))


def test_profile_of_a_window(tmp_path):
    config = config_lib.default().profile
    config.start, config.steps = 2, 2
    with profiler(config, tmp_path) as at:
        for step in range(1, 6):
            at(step)
            assert (tmp_path / "profile").exists() == (step > 3)
            jnp.arange(3.0).sum().block_until_ready()
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
