"""The share of time that training waits for data: next to none while batches wait ready, most where they come late."""

import contextlib
import time

import jax
import numpy as np
import pytest

from mmjax.data.device import place, prefetch_to_device
from mmjax.training.load import experiment_of
from mmjax.training.loop import Meter
from mmjax.training.train import training_batches
from tests import tiny


@pytest.fixture(scope="module")
def built():
    """(experiment, compiled step, flops, a placed batch)."""
    from mmjax.data.pipeline import TrainPipeline

    config = tiny.get_config("4")
    pipeline = TrainPipeline(config.data, tuple(config.streams), config.seed, config.batch_size)
    experiment = experiment_of(config, examples=len(pipeline.source))
    step, flops = experiment.compile_step()
    with training_batches(pipeline, experiment.mesh, 0) as stream:
        batch = next(stream)
    return experiment, step, flops, batch


def shares(built, batches, steps=12) -> dict[str, float]:
    """What the meter says of `steps` steps on an iterator of batches, after three that are not counted."""
    experiment, step, flops, _ = built
    state, metrics = experiment.init(), None
    meter = Meter(experiment, flops, steps)
    for done in range(1, steps + 4):
        with meter.waiting(metrics):
            batch = next(batches)
        state, metrics = step(state, batch)
        jax.block_until_ready(metrics)
        time.sleep(0.02)  # so that the step is a long one, whatever the machine
        if done == 3:
            meter = Meter(experiment, flops, steps)
    return meter.row(done, metrics)


def test_a_fast_loader_is_not_waited_for(built):
    *_, ready = built
    host = {name: np.asarray(array) for name, array in ready.items()}
    batches = prefetch_to_device(iter(lambda: host, None), lambda batch: place(batch, ready["id"].sharding))
    with contextlib.closing(batches):
        row = shares(built, batches)
    assert row["train/data_wait_share"] < 0.05
    assert row["train/data_time"] < 0.05 * row["train/batch_time"]


def test_a_slow_loader_is_told(built):
    *_, ready = built

    def late():
        while True:
            time.sleep(0.2)
            yield ready

    row = shares(built, late())
    assert row["train/data_wait_share"] > 0.6
    np.testing.assert_allclose(row["train/data_time"], 0.2, atol=0.05)


class Running:
    """A metric of a step that is still at work."""

    def is_ready(self):
        return False


def test_waiting_beside_a_running_step_costs_the_devices_nothing(built):
    experiment, _, flops, _ = built
    meter = Meter(experiment, flops, 1)
    with meter.waiting({"loss": Running()}):
        time.sleep(0.1)
    row = meter.row(1, {"loss": np.float32(0)})
    assert row["train/data_wait_share"] == 0 and row["train/data_time"] >= 0.1
    with meter.waiting(None):
        time.sleep(0.1)
    assert meter.row(2, {"loss": np.float32(0)})["train/data_wait_share"] > 0.5
