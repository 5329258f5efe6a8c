"""Mixtures: numbering, settings of their own for every part, and batches as of the sources by themselves."""

import io
import pickle
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from shards import assert_batches_equal, pairs, settings, write_tar, write_tokenizer

from mmjax.data.examples import ExampleReader
from mmjax.data.mixture import Mixture, make_order, make_parts, open_data, part_data, vector_width
from mmjax.data.mixture_reader import check_parts, make_reader
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError


def data_of(mixture, **changes):
    base = settings("", "emoji", augment={}, mixture=mixture, max_unreadable=0.5)
    return SimpleNamespace(**(vars(base) | changes))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def tars(tmp_path):
    """ "a" with 12 samples and "b" with 7, of which the last has no picture."""
    members = pairs(7, first=100)
    members = [(name, data) for name, data in members if name != "000000106.png"]
    return {"a": write_tar(tmp_path / "a.tar", pairs(12)), "b": write_tar(tmp_path / "b.tar", members)}


def test_records_are_numbered_part_after_part(tars):
    mixture = open_data(data_of({name: {"source": path} for name, path in tars.items()}))
    assert len(mixture) == 19 and mixture.counts == [12, 7] and mixture.names == ("a", "b")
    assert [mixture.part(i) for i in (0, 11, 12, 18)] == [(0, 0), (0, 11), (1, 0), (1, 6)]
    assert [mixture[i]["__key__"] for i in (0, 11, 12, 18)] == [f"{n:09d}" for n in (0, 11, 100, 106)]
    assert mixture.members(0) == ("png", "txt", "json") and mixture.members(18) == ("txt", "json")
    assert mixture.url(11) == tars["a"] and mixture.url(12) == tars["b"]
    assert mixture.member_counts() == {"png, txt, json": 18, "txt, json": 1}
    assert mixture.nbytes == sum(source.nbytes for source in mixture.sources)
    assert mixture.paths == [tars["a"], tars["b"]]


def test_one_part_has_the_order_and_rows_of_its_source(tars):
    plain = data_of({}, source=tars["a"])
    mixed = data_of({"only": {"kind": "part", "source": tars["a"]}})
    one, other = open_data(plain), open_data(mixed)
    assert not isinstance(one, Mixture) and isinstance(other, Mixture)
    reader, mixed_reader = (make_reader(s, d, ("image", "text"), 4) for s, d in ((one, plain), (other, mixed)))
    assert isinstance(reader, ExampleReader)
    for step in range(7):
        records = make_order(one, 4, 5).records(step, np.arange(5))
        np.testing.assert_array_equal(make_order(other, 4, 5).records(step, np.arange(5)), records)
        for record in records.tolist():
            row, mixed_row = reader(step, record), mixed_reader(step, record)
            assert row["text"] == mixed_row["text"]
            np.testing.assert_array_equal(row["image"], mixed_row["image"])


def test_weights_reach_the_order(tars):
    data = data_of({"a": {"source": tars["a"], "weight": 3.0}, "b": {"source": tars["b"]}})
    order = make_order(open_data(data), 0, 8)
    for step in range(6):
        assert (order.records(step, np.arange(8)) < 12).sum() == 6
    with pytest.raises(UserError, match="part 'a' of the mixture has 12 samples, fewer than its 24 of a batch"):
        make_order(open_data(data), 0, 32)


def test_parts_override_captions_streams_and_augmentations(tars):
    flip = {"kind": "flip", "probability": 1.0}
    data = data_of(
        {
            "a": {"source": tars["a"], "captions": (("{key}!", 1.0),), "without": ("mirror",)},
            "b": {"source": tars["b"], "streams": ("text",)},
        },
        augment={"mirror": flip},
        streams={"image": {"kind": "image", "missing": 0.0}, "text": {"kind": "text", "captions": (("no", 1.0),)}},
    )
    reader = make_reader(open_data(data), data, ("image", "text"), 0)
    row = reader(0, 3)
    assert row["text"].text == "000000003!" and row["image"].shape == (8, 8, 3)
    row = reader(0, 12)
    assert row["image"] is None and row["text"].text == "no"
    first, second = (part_data(data, part) for part in make_parts(data).values())
    assert first.augment == {} and second.augment == {"mirror": flip}
    assert data.streams["image"]["missing"] == 0.0, "the config itself is left alone"


def test_augmentations_are_spared_to_one_part_only(tmp_path):
    half = np.zeros((16, 16, 3), np.uint8)
    half[:, :8] = 255
    file = io.BytesIO()
    Image.fromarray(half).save(file, "PNG")
    members = [("1.png", file.getvalue()), ("1.txt", b"a cat")]
    paths = [write_tar(tmp_path / f"{name}.tar", members) for name in "ab"]
    data = data_of(
        {"a": {"source": paths[0]}, "b": {"source": paths[1], "without": ("mirror",)}},
        augment={"mirror": {"kind": "flip", "probability": 1.0}},
    )
    reader = make_reader(open_data(data), data, ("image",), 0)
    assert reader(0, 0)["image"][0, 0, 0] == 0 and reader(0, 1)["image"][0, 0, 0] == 255


def test_selection_by_part(tars):
    data = data_of({"a": {"source": tars["a"], "where": (("key", "<", "000000005"),)}, "b": {"source": tars["b"]}})
    mixture = open_data(data)
    assert mixture.counts == [5, 7] and mixture[5]["__key__"] == "000000100"


def test_a_sample_that_lacks_a_required_stream_is_a_fault_of_its_part(tars):
    data = data_of({name: {"source": path} for name, path in tars.items()})
    reader = make_reader(open_data(data), data, ("image", "text"), 0)
    with pytest.raises(Unreadable) as caught:
        reader(0, 18)
    fault = reader.samples.fault(18, caught.value)
    assert (fault.url, fault.key, fault.reason) == (tars["b"], "000000106", "no picture in the sample")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"streams": ("audio",)}, "streams names 'audio'"),
        ({"without": ("blur",)}, "without names 'blur'"),
        ({"streams": ("image",)}, "the stream 'text' may not be missing"),
        ({"without": ("mirror",)}, "no augmentation is left to 'image'"),
    ],
)
def test_parts_that_cannot_be(tars, entry, said):
    data = data_of(
        {"a": {"source": tars["a"]} | entry},
        augment={"mirror": {"kind": "flip"}},
        streams={"image": {"kind": "image", "augment": ("mirror",), "missing": 0.0}},
    )
    with pytest.raises(UserError, match=said) as error:
        check_parts(data, ("image", "text"))
    assert error.value.where.startswith("config.data.mixture.a.")


def test_a_weight_must_be_positive(tars):
    for weight in (0.0, np.inf, np.nan):
        with pytest.raises(UserError, match=f"weight {weight} is not positive and finite"):
            open_data(data_of({"a": {"source": tars["a"], "weight": weight}}))


def test_conditions_of_one_part_are_not_asked_of_another(tmp_path):
    """Also where vectors are missing, whose rows of zeros are written with the first part's settings."""
    for name in "ab":
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "vector.npy", np.ones((8, 3), np.float32))
    (tmp_path / "a" / "score.txt").write_text("".join(f"{n}\n" for n in range(8)))
    parts = {"a": {"source": f"numpy:{tmp_path / 'a'}", "where": (("score", ">", 3),)}}
    parts["b"] = {"source": f"numpy:{tmp_path / 'b'}"}
    data = data_of(parts, streams={"vector": {"kind": "vector", "missing": 0.5}})
    batch = TrainPipeline(data, ("vector",), 0, 8).batch(0)
    present = batch["vector_present"]
    assert present.any() and not present.all()
    np.testing.assert_array_equal(batch["vector"], np.repeat(present[:, None], 3, 1))


def test_fingerprints_tell_parts_apart(tars):
    def fingerprint(**sources):
        return open_data(data_of({name: {"source": source} for name, source in sources.items()})).fingerprint()

    assert fingerprint(x=tars["a"], y=tars["b"]) == fingerprint(x=tars["a"], y=tars["b"])
    assert len({fingerprint(x=tars["a"]), fingerprint(y=tars["a"]), fingerprint(x=tars["b"])}) == 3


def test_widths_of_vectors_must_agree():
    data = data_of({"x": {"source": "xor:dims=5"}, "y": {"source": "xor:dims=5"}, "z": {"source": "xor:dims=4"}})
    with pytest.raises(UserError, match="x: 5, y: 5, z: 4"):
        open_data(data).width("vector")
    del data.mixture["z"]
    assert open_data(data).width("vector") == 5
    with pytest.raises(UserError, match="no stream 'vector_9'"):
        open_data(data).width("vector_9")


def test_thirty_parts_start_no_threads_and_can_be_pickled(tmp_path):
    paths = [write_tar(tmp_path / f"{n}.tar", pairs(4, first=10 * n)) for n in range(30)]
    data = data_of({f"part{n:02d}": {"source": path} for n, path in enumerate(paths)})
    before = threading.active_count()
    mixture = open_data(data)
    reader = make_reader(mixture, data, ("image", "text"), 0)
    order = make_order(mixture, 0, 60)
    keys = [reader.samples[record].key for record in order.records(0, np.arange(60)).tolist()]
    assert sorted(int(key) // 10 for key in keys) == sorted([*range(30)] * 2)
    assert threading.active_count() == before
    copy = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(copy(0, 77)["image"], reader(0, 77)["image"])


def pipeline_data(tmp_path, **changes):
    """ "a" with 30 samples, three of whose pictures are broken, and "b" with 20."""
    members = [(name, b"broken" if name in BROKEN else data) for name, data in pairs(30)]
    mixture = {
        "a": {"source": write_tar(tmp_path / "a.tar", members), "weight": 2.0},
        "b": {"source": write_tar(tmp_path / "b.tar", pairs(20, first=100)), "captions": (("{key}", 1.0),)},
    }
    return data_of(mixture, tokenizer=write_tokenizer(tmp_path / "tokenizer.json"), **changes)


BROKEN = {f"{n:09d}.png" for n in (3, 11, 29)}


def test_batches_of_a_mixture_are_the_same_however_they_are_made(tmp_path):
    data = pipeline_data(tmp_path)
    pipeline = TrainPipeline(data, ("image", "text"), 2, 12)
    whole = [pipeline.batch(step) for step in range(6)]
    for batch in whole:
        assert (batch["id"] < 30).sum() == 8 and not set(batch["id"].tolist()) & {3, 11, 29}
    assert pipeline.unreadable.reasons["image does not decode"] > 0
    quarters = [TrainPipeline(data, ("image", "text"), 2, 12, index, 4).batch(5) for index in range(4)]
    assert_batches_equal(whole[5], {k: np.concatenate([quarter[k] for quarter in quarters]) for k in whole[5]})
    batches = TrainPipeline(data, ("image", "text"), 2, 12).iterate(3)
    for step in (3, 4, 5):
        assert_batches_equal(whole[step], next(batches))
    batches.close()


def test_a_pipeline_counts_the_samples_of_all_parts(tmp_path):
    data = pipeline_data(tmp_path, unique="key")
    pipeline = TrainPipeline(data, ("text",), 0, 10)
    assert pipeline.batches_per_epoch == 5 and len(pipeline.source) == 50
    assert len({pipeline.fingerprint(), TrainPipeline(pipeline_data(tmp_path), ("text",), 0, 10).fingerprint()}) == 2


def test_the_width_of_vectors_is_told_without_selecting(tmp_path):
    np.save(tmp_path / "vector.npy", np.zeros((4, 3), np.float32))
    data = settings(f"numpy:{tmp_path}", "")
    data.where = (("nothing", "==", 1),)
    assert vector_width(data, "vector") == 3
    with pytest.raises(UserError, match="no sample has the field 'nothing'"):
        open_data(data)
