"""Retrieval between streams of every kind: one data path, every ordered pair with its chance, absent rows left out."""

import itertools
import json
import pickle

import numpy as np
import pytest

from mmjax import config as config_lib
from mmjax.data.pipeline import TrainPipeline
from mmjax.errors import UserError
from mmjax.evaluation.cross import CrossRetrieval
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.kinds import Retrieval
from tests.data.media import frames, npy, ramp
from tests.data.shards import picture, write_tar

COUNT = 20
STREAMS = ("image", "text", "audio", "video", "series")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Record n: everything tells n; no sound where n is below 4, no English speech, French from 8 on."""
    found = []
    for n in range(COUNT):
        found.append((f"{n:02d}.png", picture(n)))
        label = {"en": f"{n}", "fr": f"{(n + 1) % COUNT}"}  # French captions are of the next record
        found.append((f"{n:02d}.json", json.dumps({"label": label}).encode()))
        if n >= 4:
            found.append((f"{n:02d}.wav", ramp(n, 30)))
        if n >= 8:
            found.append((f"{n:02d}.desc.fr.wav", ramp(n, 30)))
        found.append((f"{n:02d}.clip.npy", npy(frames(n, 5))))
        found.append((f"{n:02d}.imu.npy", npy(np.full((3, 1), n, np.float32))))
    return write_tar(tmp_path_factory.mktemp("cross") / "a.tar", found)


@pytest.fixture
def data(source):
    data = config_lib.default().data
    data.source, data.image_size, data.captions = source, 8, (("{label}", 1.0),)
    data.tokenizer, data.context = "bytes", 8
    data.video_keys, data.series_keys = ("clip.npy",), ("imu.npy",)
    data.audio.update({"sample_rate": 8000, "seconds": 0.01})
    data.video.frames, data.series.steps = 2, 4
    data.streams.audio = config_lib.stream("audio", audio_keys=("=wav",))
    return data


def number(stream, batch):
    """The record that each row tells of, (B,) float."""
    x = batch[stream]
    if stream.startswith("text"):
        tokens = [ids[mask] for ids, mask in zip(x, batch[f"{stream}_mask"], strict=True)]
        return np.array([NUMBERS.get(tuple(ids.tolist()), 0.0) for ids in tokens])
    if stream.startswith("audio"):
        assert (batch[f"{stream}_mask"].sum(1) <= 30).all()
        return np.round(1000 * x[:, 0]) - 1
    return x.reshape(len(x), -1)[:, 0].astype(float)


def byte_ids():
    from mmjax.data.tokenizers import make_tokenizer

    ids, mask = make_tokenizer("bytes", 8)([str(n) for n in range(COUNT)])
    return {tuple(row[m].tolist()): float(n) for n, (row, m) in enumerate(zip(ids, mask, strict=True))}


NUMBERS = byte_ids()


def encode(stream, batch):
    """A direction for each number; series answer with that of the record before."""
    n = number(stream, batch) - (stream == "series")
    angles = 2 * np.pi * n / COUNT
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def test_every_ordered_pair_and_its_chance(data, source):
    embeddings = Embeddings(encode, data, batch_size=6, mesh=None)
    metrics, chance = CrossRetrieval(source, STREAMS, compose="", captions="{label}")(embeddings)
    for a, b in itertools.permutations(STREAMS, 2):
        gallery = COUNT - 4 * ("audio" in (a, b))
        assert metrics[f"{a}_to_{b}_queries"] == gallery
        for k in (1, 5, 10):
            assert chance[f"{a}_to_{b}_R@{k}"] == pytest.approx(k / gallery)
        # Series tell of the record before, whose own is nearer; but at one end of the records with a sound there is
        # none before, or behind.
        off = (1 / 16 if "audio" in (a, b) else 0.0) if "series" in (a, b) else 1.0
        assert metrics[f"{a}_to_{b}_R@1"] == off, (a, b)
        assert metrics[f"{a}_to_{b}_R@5"] == 1.0


def test_a_whole_config_section_trains_the_same_streams(data):
    """A ConfigDict is no plain namespace: its own methods must not stand for keys, and workers get a copy of it."""
    pipeline = TrainPipeline(data, STREAMS, 0, 4)
    copy = pickle.loads(pickle.dumps(pipeline._chunks))
    batch, (again, _) = pipeline.batch(3), copy(3)
    assert {name: array.tolist() for name, array in batch.items()} == {n: a.tolist() for n, a in again.items()}
    for stream in STREAMS:
        there = batch.get(f"{stream}_present", np.ones(4, bool))
        told = number(stream, {n: a[there] for n, a in batch.items() if n.startswith(stream)})
        np.testing.assert_array_equal(told, batch["id"][there])


def test_the_language_that_is_asked_for(data, source):
    embeddings = Embeddings(encode, data, batch_size=6, mesh=None)
    streams = ("image", "text")
    for language, right in (("", 1.0), ("en", 1.0), ("fr", 0.0)):
        metrics = CrossRetrieval(source, streams, "{label}", language, "")(embeddings).metrics
        assert metrics["text_to_image_R@1"] == right
    data.streams.audio_2 = config_lib.stream("audio", audio_keys=("desc.{language}.wav",), languages=("en", "fr"))
    spoken = ("image", "audio_2")
    metrics = CrossRetrieval(source, spoken, language="fr", compose="")(embeddings).metrics
    assert metrics["audio_2_to_image_queries"] == 12 and metrics["audio_2_to_image_R@1"] == 1.0
    with pytest.raises(UserError, match="no sound in .*a.tar") as error:
        CrossRetrieval(source, spoken, language="en", compose="")(embeddings)
    assert "'en'" in error.value.where


def test_retrieval_of_sounds_and_captions(data, source):
    embeddings = Embeddings(encode, data, batch_size=6, mesh=None)
    metrics, chance = Retrieval(source, captions="{label}", streams=("audio", "text"))(embeddings)
    assert metrics["audio_to_text_R@1"] == metrics["text_to_audio_R@1"] == 1.0
    assert metrics["audio_to_text_queries"] == 16 and chance["audio_to_text_R@1"] == pytest.approx(1 / 20)
    data.streams.image_2 = config_lib.stream("image")
    two = Retrieval(source, streams=("image", "image_2"))(embeddings).metrics
    assert two["image_to_image_2_R@1"] == two["image_2_to_image_R@1"] == 1.0
