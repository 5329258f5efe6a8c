"""A step whose loss or gradients are not finite: the run stops and says all about it, or leaves the step out."""

import json

import jax
import numpy as np
import pytest

from mmjax import config as config_lib
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.sources import xor_source
from mmjax.errors import UserError
from mmjax.training.experiment import build_experiment
from mmjax.training.history import read_history
from mmjax.training.load import load
from mmjax.training.train import train

BAD_STEP = 3
STREAMS = ("vector", "vector_2")


def tiny_config(steps=6, **changes):
    config = config_lib.default()
    config.duration = f"{steps} steps"
    config.batch_size = 16
    config.embed_dim = 4
    config.ema_decay = 0.9
    config.data.source = "xor:dims=4"
    config.data.threads = 1
    del config.streams.image, config.streams.text
    for stream in STREAMS:
        config.streams[stream] = stream
        config.towers[stream] = config_lib.tower("vector", projection="affine")
    config.objectives.contrastive = config_lib.objective("softmax", streams=STREAMS)
    config.log.every = "1 steps"
    config.checkpoint.every = "2 steps"
    config.checkpoint.keep = 10
    config.update_from_flattened_dict(changes)
    return config


def batch_of(config, step):
    return TrainPipeline(config.data, STREAMS, config.seed, config.batch_size).batch(step - 1)


@pytest.fixture
def poisoned(monkeypatch):
    """The last example of the batch of BAD_STEP holds a vector that is no number."""
    bad = int(batch_of(tiny_config(), BAD_STEP)["id"][-1])
    honest = xor_source.XorSource.__getitem__

    def getitem(self, i):
        sample = honest(self, i)
        return sample | {"vector": sample["vector"] * np.float32("nan")} if i == bad else sample

    monkeypatch.setattr(xor_source.XorSource, "__getitem__", getitem)
    # The data's own check would replace the sample; here it stands for whatever makes a loss overflow.
    monkeypatch.setattr("mmjax.data.streams.vector.as_float32", lambda array, name: array)


def test_stopping_writes_down_what_happened(poisoned, tmp_path):
    with pytest.raises(UserError, match=rf"the loss is nan at step {BAD_STEP}(.|\n)*nonfinite.json") as error:
        train(tiny_config(), tmp_path)
    record = json.loads((tmp_path / "nonfinite.json").read_text())
    assert record["step"] == BAD_STEP and record["ids"] == batch_of(tiny_config(), BAD_STEP)["id"].tolist()
    assert record["metrics"]["loss"] == "nan" and record["metrics"]["grad_norm"] == "nan"
    assert "config.on_nonfinite=skip" in error.value.remedy
    steps = [p.name for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()]
    assert steps == ["2"]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(load(tmp_path)[1]))
    skipping = tiny_config(on_nonfinite="skip")
    assert train(skipping, tmp_path)["step"] == 6, "the same run may go on so"


def test_skipping_counts_and_resumes_to_the_same_bits(poisoned, tmp_path, capsys):
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    train(tiny_config(on_nonfinite="skip"), whole)
    assert "skipped 1 of 6 steps: their loss or gradients were not finite" in capsys.readouterr().err
    rows = [row for row in read_history(whole) if "train/skipped" in row]
    assert [row["train/skipped"] for row in rows] == [0, 0, 1, 1, 1, 1]
    assert [np.isfinite(row["train/loss"]) for row in rows] == [True, True, False, True, True, True]
    # A step that is skipped leaves the schedule where it was, since the optimiser counts it.
    assert rows[3]["train/lr"] == pytest.approx(float(load(whole)[0].schedule(2)))
    train(tiny_config(on_nonfinite="skip"), parted)
    (parted / "checkpoints" / "6").rename(tmp_path / "6")
    train(tiny_config(on_nonfinite="skip"), parted)
    (_, left), (_, right) = load(whole), load(parted)
    assert int(left.skipped) == 1
    jax.tree.map(np.testing.assert_array_equal, left, right)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_skipped_step_changes_nothing_but_the_counts(number):
    config = tiny_config(on_nonfinite="skip")
    good, bad = batch_of(config, 1), batch_of(config, 2)
    bad["vector"] = bad["vector"].copy()
    bad["vector"][5, 0] = number
    experiment = build_experiment(config, examples=160, batch_shapes=good, devices=jax.devices()[:1])
    step = jax.jit(experiment.train_step())
    place = lambda batch: {k: jax.device_put(v, experiment.batch[k].sharding) for k, v in batch.items()}  # noqa: E731
    before, metrics = step(experiment.init(), place(good))
    assert int(metrics["skipped"]) == 0 and int(before.skipped) == 0
    after, metrics = step(before, place(bad))
    assert not np.isfinite(metrics["loss"]) and int(metrics["skipped"]) == 1
    assert int(after.step) == 2 and int(after.skipped) == 1
    jax.tree.map(np.testing.assert_array_equal, after.replace(step=before.step, skipped=before.skipped), before)
    later, metrics = step(after, place(good))
    assert np.isfinite(metrics["loss"]) and int(later.skipped) == 1
    changed = [(a != b).any() for a, b in zip(*map(jax.tree.leaves, (later.params, after.params)), strict=True)]
    assert any(changed)


def test_finite_loss_with_gradients_that_are_not(monkeypatch, tmp_path):
    """The square root of a sum that is zero at step 1: its loss is finite, its gradient is not."""
    from mmjax.objectives import SoftmaxContrastive

    honest = SoftmaxContrastive.__call__

    def call(self, features, batch, *, train):
        loss, metrics = honest(self, features, batch, train=train)
        x = features[STREAMS[0]].pooled
        return loss + jax.numpy.sqrt(jax.numpy.sum(jax.numpy.square(x - x))), metrics

    monkeypatch.setattr(SoftmaxContrastive, "__call__", call)
    with pytest.raises(UserError, match="the grad_norm is nan at step 1"):
        train(tiny_config(), tmp_path)
    assert "loss" not in json.loads((tmp_path / "nonfinite.json").read_text())["metrics"]
