"""Streams bound to members, templates and languages; samples that lack them; modalities dropped on purpose."""

import json

import numpy as np
import pytest
from shards import WORDS, assert_batches_equal, picture, settings, write_tar, write_tokenizer

import mmjax.data.inspection.preview as preview_module
from mmjax import config as config_lib
from mmjax.data.inspection.preview import as_text, preview
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.shapes import batch_shapes
from mmjax.data.streams import check_streams, is_dropped
from mmjax.errors import UserError

COUNT = 40
STREAMS = ("image", "text", "image_2", "text_2")


def members():
    """Record n: `a.png` of colour n always, `b.png` of colour n + 100 unless n % 4 == 0, a German text if n % 5."""
    found = []
    for n in range(COUNT):
        label = {"en": f"a {WORDS[n % 9]}"} | ({"de": f"big {WORDS[n % 9]}"} if n % 5 else {})
        found.append((f"{n:03d}.json", json.dumps({"label": label}).encode()))
        found.append((f"{n:03d}.a.png", picture(n)))
        if n % 4:
            found.append((f"{n:03d}.b.png", picture(n + 100)))
    return found


def entry(kind, **options):
    return config_lib.stream(kind, **options).to_dict()


def bound(tmp_path, **streams):
    tokenizer = write_tokenizer(tmp_path / "t.json")
    data = settings(write_tar(tmp_path / "a.tar", members()), tokenizer, captions=(("{label}", 1.0),), augment={})
    data.streams = streams or {
        "image_2": entry("image", image_keys=("b.png",)),
        "text_2": entry("text", languages=("de",)),
    }
    return data


def whole_epoch(pipeline):
    batches = [pipeline.batch(step) for step in range(COUNT // 8)]
    joined = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    order = np.argsort(joined["id"])
    assert (joined["id"][order] == np.arange(COUNT)).all(), "no record was replaced"
    return {name: array[order] for name, array in joined.items()}


def test_bound_streams_hold_what_they_name_or_zeros(tmp_path):
    pipeline = TrainPipeline(bound(tmp_path), STREAMS, 0, 8)
    epoch, records = whole_epoch(pipeline), np.arange(COUNT)
    assert pipeline.unreadable.reasons.total() == 0
    np.testing.assert_array_equal(epoch["image_2_present"], records % 4 > 0)
    np.testing.assert_array_equal(epoch["text_2_present"], records % 5 > 0)
    colours = np.where(records % 4 > 0, records + 100, 0)
    np.testing.assert_array_equal(epoch["image_2"][:, :, :, 0], np.broadcast_to(colours[:, None, None], (COUNT, 8, 8)))
    assert not epoch["image_2"][records % 4 == 0].any()
    german = np.stack([[1, 4 + WORDS.index("big"), 4 + n % 9, 2, 0, 0] if n % 5 else [0] * 6 for n in records])
    np.testing.assert_array_equal(epoch["text_2"], german)
    np.testing.assert_array_equal(epoch["text_2_mask"], german > 0)


def test_other_streams_are_as_if_these_were_not_there(tmp_path):
    with_bound = whole_epoch(TrainPipeline(bound(tmp_path), STREAMS, 3, 8))
    data = bound(tmp_path)
    data.streams = {}
    without = whole_epoch(TrainPipeline(data, ("image", "text"), 3, 8))
    assert without.keys() == {"image", "text", "text_mask", "id"}
    assert_batches_equal({name: with_bound[name] for name in without}, without)
    assert len(set((without["image"][:, 0, 0, 0] // 100).tolist())) == 2, "unbound pictures are of either member"


def test_templates_of_a_stream(tmp_path):
    data = bound(tmp_path, text_2=entry("text", captions=(("tree {label}", 1.0),)))
    epoch = whole_epoch(TrainPipeline(data, ("text", "text_2"), 0, 8))
    assert epoch["text_2_present"].all() and (epoch["text_2"][:, 1] == 4 + WORDS.index("tree")).all()
    np.testing.assert_array_equal(epoch["text_2"][:, 2], epoch["text"][:, 1])


def test_the_same_samples_are_dropped_in_every_epoch_and_more_at_a_higher_share(tmp_path):
    def present(share, seed=0, epoch=0):
        data = bound(tmp_path, text=entry("text", missing=share))
        pipeline = TrainPipeline(data, ("image", "text"), seed, 8)
        batches = [pipeline.batch(5 * epoch + n) for n in range(5)]
        found = {i: flag for b in batches for i, flag in zip(b["id"].tolist(), b["text_present"], strict=True)}
        absent = np.concatenate([b["text"][~b["text_present"]] for b in batches])
        assert not absent.any()
        return np.array([found[n] for n in range(COUNT)])

    few, many = present(0.2), present(0.6)
    np.testing.assert_array_equal(few, present(0.2, epoch=3))
    assert (few != present(0.2, seed=1)).any()
    assert 0 < (~few).sum() < (~many).sum() < COUNT and not (~few & many).any()
    assert present(0.0).all()
    rate = np.mean([is_dropped(0.3, 0, "text_2", record) for record in range(4000)])
    assert abs(rate - 0.3) < 4 * (0.3 * 0.7 / 4000) ** 0.5


def test_what_is_missing_depends_on_no_worker_process_or_chunk(tmp_path, monkeypatch):
    data = bound(tmp_path)
    data.streams["text_2"]["missing"] = 0.3
    whole = TrainPipeline(data, STREAMS, 1, 8).batch(6)
    parts = [TrainPipeline(data, STREAMS, 1, 8, index, 4).batch(6) for index in range(4)]
    assert_batches_equal(whole, {name: np.concatenate([part[name] for part in parts]) for name in whole})
    monkeypatch.setattr("mmjax.data.pipeline.CHUNK_ROWS", 3)
    data.workers = 2
    batches = TrainPipeline(data, STREAMS, 1, 8).iterate(6)
    assert_batches_equal(whole, next(batches))
    batches.close()


def test_shapes_are_those_of_the_batch(tmp_path):
    data = bound(tmp_path)
    batch = TrainPipeline(data, STREAMS, 0, 8).batch(0)
    assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
        k: (shape, np.dtype(dtype)) for k, (shape, dtype) in batch_shapes(data, STREAMS, 8).items()
    }
    assert {"image_2_present", "text_2_present"} == {k for k in batch if k.endswith("_present")}


def test_damage_is_no_absence(tmp_path):
    data = bound(tmp_path)
    broken = [(name, b"?" if name == "007.b.png" else content) for name, content in members()]
    data.source, data.max_unreadable = write_tar(tmp_path / "b.tar", broken), 1.0
    pipeline = TrainPipeline(data, STREAMS, 0, 8)
    assert 7 not in np.concatenate([pipeline.batch(step)["id"] for step in range(5)])
    assert pipeline.unreadable.reasons == {"image does not decode": 1}


def test_preview_shows_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(preview_module, "SECONDS", 0.05)
    config = config_lib.default()
    config.data.update(vars(bound(tmp_path)))
    config.streams.update({"image_2": "image", "text_2": "text"})
    config.batch_size = 40
    summary = preview(config, str(tmp_path / "sheet.png"))
    assert summary["present"] == {"image_2": 0.75, "text_2": 0.8}
    assert "image_2: in 75.0% of the rows" in as_text(summary)
    assert summary["lengths"]["text_2"]["fewest"] == 4 and summary["unreadable"] == {}
    assert any("text_2" not in example["streams"] for example in summary["examples"])


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("image_3", entry("image"), "no stream 'image_3' is trained"),
        ("image_2", entry("text"), "no stream of kind 'text'"),
        ("text_2", entry("text", missing=1.0), "missing is 1.0"),
        ("text_2", entry("text", captions=("{label}",)), "(template, weight) pairs"),
    ],
)
def test_entries_that_cannot_be(tmp_path, name, options, said):
    with pytest.raises(UserError) as error:
        check_streams(bound(tmp_path, **{name: options}), STREAMS)
    assert said in str(error.value) and f"config.data.streams.{name}" in error.value.where


def test_options_of_another_kind_are_refused():
    with pytest.raises(UserError, match="stream 'image' has no option 'languages'"):
        config_lib.stream("image", languages=("de",))
