"""The exclusive-or source: fresh samples, a test split of its own, batches like those of any source."""

import numpy as np
import pytest
from shards import assert_batches_equal, settings

from mmjax.data.pipeline import TrainPipeline
from mmjax.data.shapes import batch_shapes
from mmjax.data.sources import open_source
from mmjax.data.sources.xor_source import every_vector
from mmjax.errors import UserError

STREAMS = ("vector", "vector_2", "vector_3")


def test_batches_of_vectors():
    data = settings("xor:dims=4", "emoji")
    batch = TrainPipeline(data, STREAMS, 0, 64).batch(5)
    a, b, c = (batch[stream] for stream in STREAMS)
    np.testing.assert_array_equal(c, np.abs(a - b))
    assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
        k: (shape, np.dtype(dtype)) for k, (shape, dtype) in batch_shapes(data, STREAMS, 64).items()
    }
    halves = [TrainPipeline(data, STREAMS, 0, 64, index, 2).batch(5) for index in range(2)]
    assert_batches_equal(batch, {k: np.concatenate([half[k] for half in halves]) for k in batch})


def test_bits_are_fair_and_samples_fresh():
    pipeline = TrainPipeline(settings("xor:modalities=4,dims=3,p=0.5", "emoji"), (*STREAMS, "vector_4"), 1, 200)
    batches = [pipeline.batch(step) for step in range(5)]
    assert len(np.unique(np.concatenate([b["id"] for b in batches]))) == 1000
    a, b, c, d = (np.concatenate([batch[s] for batch in batches]) for s in (*STREAMS, "vector_4"))
    for bits in (a, b, c):
        assert abs(bits.mean() - 0.5) < 4 * 0.5 / 3000**0.5
    mixed = (d == (a + b + c) % 2).all(1)
    assert ((d == a).all(1) | mixed).all() and not mixed.all()
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / 3000**0.5


def test_missing_vectors():
    data = settings("xor:", "emoji", streams={"vector_2": {"kind": "vector", "missing": 0.5}})
    batch = TrainPipeline(data, STREAMS, 0, 100).batch(0)
    present = batch["vector_2_present"]
    assert 20 < present.sum() < 80 and not batch["vector_2"][~present].any() and batch["vector_2"][present].any()


def test_test_split_is_keyed_apart():
    train, test = open_source("xor:dims=16"), open_source("xor:dims=16,split=test")
    assert len(test) == 5000
    assert all((train[i]["vector"] != test[i]["vector"]).any() for i in range(50))
    assert all((test[i]["vector_3"] == open_source("xor:dims=16,split=test")[i]["vector_3"]).all() for i in range(5))
    assert train.fingerprint() != test.fingerprint()


def test_every_vector_is_numbered_by_its_digits():
    np.testing.assert_array_equal(every_vector(2), [[0, 0], [0, 1], [1, 0], [1, 1]])


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("xor:dim=5", "no setting 'dim'"),
        ("xor:dims=five", "'five'"),
        ("xor:p=2", "p from 0 to 1"),
        ("xor:modalities=2", "at least 3 modalities"),
        ("xor:split=validation", "no split 'validation'"),
    ],
)
def test_settings_that_cannot_be(spec, said):
    with pytest.raises(UserError) as error:
        open_source(spec)
    assert said in str(error.value) and error.value.where == spec


def test_streams_that_are_not_there():
    with pytest.raises(UserError, match="no stream 'vector_4'"):
        TrainPipeline(settings("xor:", "emoji"), ("vector", "vector_4"), 0, 8)
    with pytest.raises(UserError, match="no vectors for the stream 'vector'"):
        TrainPipeline(settings("emoji:validation-unseen", "emoji"), ("vector",), 0, 8)
