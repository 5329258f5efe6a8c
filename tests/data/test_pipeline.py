"""Training batches: pure in (seed, step), the same through any workers and processes, whole despite bad samples."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image
from shards import assert_batches_equal, pairs, picture, settings, write_tar, write_tokenizer

import mmjax.data.pipeline as pipeline_module
from mmjax.data.pipeline import TrainPipeline
from mmjax.errors import UserError

STREAMS = ("image", "text")


@pytest.fixture
def data(tmp_path):
    """40 readable samples in two shards."""
    write_tar(tmp_path / "0.tar", pairs(25))
    write_tar(tmp_path / "1.tar", pairs(15, first=25))
    return settings(str(tmp_path / "{0..1}.tar"), write_tokenizer(tmp_path / "t.json"))


def damaged(tmp_path, bad: dict[int, dict[str, bytes]], count=40, **changes):
    """Settings of `count` samples, some with other members: number -> {extension: bytes}."""
    members = []
    for name, content in pairs(count):
        key, extension = name.split(".")
        members.append((name, bad.get(int(key), {}).get(extension, content)))
    tokenizer = write_tokenizer(tmp_path / "t.json")
    return settings(write_tar(tmp_path / "bad.tar", members), tokenizer, **changes)


def test_what_a_batch_holds(data):
    data.augment = {}
    batch = TrainPipeline(data, STREAMS, seed=0, batch_size=8).batch(3)
    assert {name: (array.shape, array.dtype) for name, array in batch.items()} == {
        "image": ((8, 8, 8, 3), np.uint8),
        "text": ((8, 6), np.int32),
        "text_mask": ((8, 6), bool),
        "id": ((8,), np.int32),
    }
    for n, record in enumerate(batch["id"]):
        assert (batch["image"][n] == (record, 0, 7)).all()
        words = [4, 4 + record % 9, 4 + record // 9 % 9]  # "a WORD WORD", and ids of words begin at 4
        np.testing.assert_array_equal(batch["text"][n], [1, *words, 2, 0])
        np.testing.assert_array_equal(batch["text_mask"][n], [1, 1, 1, 1, 1, 0])


def test_batches_depend_on_seed_and_step_alone(data):
    one, two = TrainPipeline(data, STREAMS, 5, 8), TrainPipeline(data, STREAMS, 5, 8)
    later = one.batch(11)
    one.batch(2)
    assert_batches_equal(later, two.batch(11))
    assert not np.array_equal(later["image"], one.batch(12)["image"])
    assert not np.array_equal(later["image"], TrainPipeline(data, STREAMS, 6, 8).batch(11)["image"])


def test_an_epoch_has_different_records_and_the_next_one_other_draws(data):
    pipeline = TrainPipeline(data, STREAMS, 0, 8)
    epochs = [[pipeline.batch(5 * epoch + n) for n in range(5)] for epoch in range(2)]
    for epoch in epochs:
        assert sorted(np.concatenate([batch["id"] for batch in epoch]).tolist()) == list(range(40))
    first, second = ({n: b["image"][row] for b in epoch for row, n in enumerate(b["id"])} for epoch in epochs)
    assert np.mean([(first[n] != second[n]).any() for n in range(40)]) > 0.7


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_iterating_equals_asking(data, threads, monkeypatch):
    monkeypatch.setattr(pipeline_module, "CHUNK_ROWS", 3)
    data.threads = threads
    pipeline = TrainPipeline(data, STREAMS, 1, 8)
    batches = pipeline.iterate(7)
    for step, batch in zip(range(7, 20), batches, strict=False):
        assert_batches_equal(batch, pipeline.batch(step))
    batches.close()


def test_chunks_do_not_matter(data, monkeypatch):
    whole = TrainPipeline(data, STREAMS, 1, 8).batch(4)
    monkeypatch.setattr(pipeline_module, "CHUNK_ROWS", 3)
    assert_batches_equal(whole, TrainPipeline(data, STREAMS, 1, 8).batch(4))


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_the_same_batch(data, count):
    whole = TrainPipeline(data, STREAMS, 2, 8).batch(9)
    parts = [TrainPipeline(data, STREAMS, 2, 8, index, count).batch(9) for index in range(count)]
    assert all(len(part["id"]) == 8 // count for part in parts)
    assert_batches_equal(whole, {name: np.concatenate([part[name] for part in parts]) for name in whole})


def test_worker_processes_change_nothing_and_report_faults(tmp_path):
    data = damaged(tmp_path, {n: {"png": b"broken"} for n in range(0, 40, 3)}, workers=2, max_unreadable=1.0)
    alone, together = TrainPipeline(data, STREAMS, 0, 8), TrainPipeline(data, STREAMS, 0, 8)
    batches = together.iterate(3)
    for step in range(3, 8):
        assert_batches_equal(next(batches), alone.batch(step))
    batches.close()
    assert alone.unreadable.rows == together.unreadable.rows == 40
    assert together.unreadable.reasons == alone.unreadable.reasons
    assert together.unreadable.reasons["image does not decode"] >= 8
    assert together.unreadable.examples == alone.unreadable.examples


def test_an_error_in_a_worker_arrives_as_it_is(tmp_path):
    data = damaged(tmp_path, {n: {"png": b"broken"} for n in range(40)}, workers=1)
    batches = TrainPipeline(data, STREAMS, 0, 8).iterate()
    with pytest.raises(UserError, match="in a row are unreadable"):
        next(batches)


def test_bad_samples_are_replaced_and_counted_by_reason(tmp_path):
    bad = {3: {"png": b"broken"}, 17: {"txt": b" "}, 21: {"txt": b"\xff"}}
    data = damaged(tmp_path, bad, max_unreadable=1.0)
    pipeline = TrainPipeline(data, STREAMS, 0, 8)
    epoch = [pipeline.batch(step) for step in range(5)]
    ids = np.concatenate([batch["id"] for batch in epoch])
    assert set(ids.tolist()) == set(range(40)) - set(bad)
    assert all(len(set(batch["id"].tolist())) == 8 for batch in epoch), "a batch has different records"
    assert pipeline.unreadable.rows == 40
    assert pipeline.unreadable.reasons == {"image does not decode": 1, "caption is empty": 1, "caption is not UTF-8": 1}
    assert "bad.tar [000000003]" in " ".join(map(str, pipeline.unreadable.examples))
    again = TrainPipeline(data, STREAMS, 0, 8)
    for step in (4, 0, 2):
        assert_batches_equal(again.batch(step), epoch[step])


def test_a_caption_without_a_token_is_unreadable(tmp_path):
    data = damaged(tmp_path, {5: {"txt": "\u200a\u2003x".encode()}}, captions=(("{txt}", 1.0),), max_unreadable=1.0)
    pipeline = TrainPipeline(data, STREAMS, 0, 40)
    text = pipeline.reader.streams[1]
    tokenize = text.tokenizer

    def blind_to_x(texts):
        ids, mask = tokenize(texts)
        mask[[n for n, text in enumerate(texts) if text == "x"]] = False
        return ids, mask

    vars(text)["tokenizer"] = blind_to_x
    assert 5 not in pipeline.batch(0)["id"]
    assert pipeline.unreadable.reasons == {"caption has no token": 1}


def test_too_many_bad_samples_stop_the_run(tmp_path):
    data = damaged(tmp_path, {3: {"png": b"broken"}, 4: {"png": b""}}, max_unreadable=0.001)
    pipeline = TrainPipeline(data, STREAMS, 0, 8)
    with pytest.raises(UserError, match="2 unreadable samples among") as error:
        for step in range(5):
            pipeline.batch(step)
    assert "000000003" in str(error.value)
    assert "max_unreadable" in error.value.remedy


def test_second_views_take_other_members_and_other_draws(tmp_path):
    members = [(f"{n}.{style}.png", picture(n + 100 * s)) for n in range(6) for s, style in enumerate("abc")]
    data = settings(write_tar(tmp_path / "a.tar", members), write_tokenizer(tmp_path / "t.json"), augment={})
    pipeline = TrainPipeline(data, ("image", "image_2"), 0, 6)
    styles = {"image": set(), "image_2": set()}
    for step in range(30):
        batch = pipeline.batch(step)
        drawn = {stream: batch[stream][:, 0, 0, 0] // 100 for stream in styles}
        assert (drawn["image"] != drawn["image_2"]).all()
        for stream in styles:
            np.testing.assert_array_equal(batch[stream][:, 0, 0, 0] % 100, batch["id"])
            styles[stream] |= set(drawn[stream].tolist())
    assert styles == {"image": {0, 1, 2}, "image_2": {0, 1, 2}}
    data.image_keys = ("b.png",)
    only = TrainPipeline(data, ("image", "image_2"), 0, 6).batch(0)
    assert (only["image"][:, 0, 0, 0] // 100 == 1).all()
    np.testing.assert_array_equal(only["image"], only["image_2"])


def test_streams_do_not_disturb_each_other(data):
    both = TrainPipeline(data, ("image", "text", "image_2"), 0, 8).batch(6)
    image = TrainPipeline(data, ("image",), 0, 8).batch(6)
    np.testing.assert_array_equal(both["image"], image["image"])
    assert not np.array_equal(both["image"], both["image_2"])


def test_crop_sees_the_whole_picture(tmp_path):
    """A picture twice as wide as high: a crop may show its right end, which resizing first would have cut away."""
    pixels = np.zeros((16, 64, 3), np.uint8)
    pixels[:, 56:] = 255
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "png")
    members = [m for n in range(8) for m in ((f"{n}.png", out.getvalue()), (f"{n}.txt", b"a"))]
    data = settings(write_tar(tmp_path / "a.tar", members), write_tokenizer(tmp_path / "t.json"))
    data.augment = {"crop": {"kind": "crop", "scale": (0.1, 0.3)}}
    pipeline = TrainPipeline(data, STREAMS, 0, 8)
    assert max(pipeline.batch(step)["image"].max() for step in range(10)) > 250


def test_cache_gives_the_same_bits(data):
    warm = TrainPipeline(data, STREAMS, 0, 8)
    for step in range(10):
        warm.batch(step)
    data.cache = 0
    cold = TrainPipeline(data, STREAMS, 0, 8)
    assert_batches_equal(warm.batch(12), cold.batch(12))
    assert not cold.reader.samples._kept
    assert len(warm.reader.samples._kept) == 40


def test_cache_stays_within_its_bytes(data, monkeypatch):
    data.cache = 1
    monkeypatch.setattr("mmjax.data.examples.MEBIBYTE", 200_000)
    monkeypatch.setattr("mmjax.data.samples.OBJECTS_PER_BYTE", 250)  # 14 kB a sample
    pipeline = TrainPipeline(data, STREAMS, 0, 8)
    for step in range(10):
        pipeline.batch(step)
    assert 5 < len(pipeline.reader.samples._kept) < 20
    monkeypatch.setattr("mmjax.data.examples.MEBIBYTE", 100_000)  # less than the tars
    pipeline = TrainPipeline(data, STREAMS, 0, 8)
    pipeline.batch(0)
    assert not pipeline.reader.samples._kept


def test_iterating_reads_ahead_no_further_than_told(data):
    data.threads, data.prefetch = 1, 2
    pipeline = TrainPipeline(data, STREAMS, 0, 8)
    asked = []
    chunks = pipeline._chunks

    class Watched:
        count, share = chunks.count, chunks.share

        def __call__(self, number):
            asked.append(number)
            return chunks(number)

    pipeline._chunks = Watched()
    batches = pipeline.iterate()
    list(itertools.islice(batches, 5))
    batches.close()
    assert max(asked) <= 8


def test_settings_that_cannot_work(data):
    with pytest.raises(UserError, match="does not divide by 3"):
        TrainPipeline(data, STREAMS, 0, 8, 0, 3)
    with pytest.raises(UserError, match="40 samples, fewer than one batch of 41"):
        TrainPipeline(data, STREAMS, 0, 41)
    with pytest.raises(UserError, match="unknown stream 'odour'"):
        TrainPipeline(data, ("odour",), 0, 8)
    data.image_keys = ("gif",)
    with pytest.raises(UserError, match="no picture in the sample"):
        TrainPipeline(data, STREAMS, 0, 8).batch(0)


def test_shipped_data_trains():
    data = settings("emoji:train", "emoji", image_size=64, context=16)
    data.captions = (("{label}", 0.5), ("{label}, {tags}", 0.4), ("{tags}", 0.1))
    data.languages = ("en", "ja")
    pipeline = TrainPipeline(data, ("image", "image_2", "text"), 0, 64)
    batch = pipeline.batch(0)
    assert batch["image"].shape == (64, 64, 64, 3)
    assert (batch["image"] != batch["image_2"]).any(axis=(1, 2, 3)).all()
    assert batch["text_mask"].any(1).all()
    assert pipeline.unreadable.reasons.total() == 0
