"""ArrayRecord files of samples: written from any source, read at random, and refused when they hold something else."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import msgpack
import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from shards import assert_batches_equal, pairs, picture, settings, write_tar, write_tokenizer

from mmjax.data.captions import text_fields
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.sources import array_records, open_source
from mmjax.data.sources.array_records import write_array_record
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError


def convert(source, path) -> str:
    assert write_array_record(str(path), (source[i] for i in range(len(source)))) == len(source)
    return str(path)


def write_raw(path, records) -> str:
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()
    return str(path)


def test_samples_come_back(tmp_path):
    samples = [
        {"__key__": "a", "__url__": "here", "png": picture(1), "vector": np.float32([1, 2]), "json": {"title": "ä"}},
        {"__key__": "b", "txt": b"\xff", "json": b'{"n": 1}'},
        {"series": np.arange(6.0).reshape(3, 2)},
    ]
    path = tmp_path / "a.arrayrecord"
    assert write_array_record(str(path), samples) == 3
    source = open_source(str(path))
    assert [source.members(i) for i in range(3)] == [("png", "vector", "json"), ("txt", "json"), ("series",)]
    first = source[0]
    assert first["__key__"] == "a" and first["__url__"] == str(path) and first["png"] == picture(1)
    np.testing.assert_array_equal(first["vector"], np.float32([1, 2]))
    assert first["vector"].dtype == np.float32 and text_fields(first) == {"title": "ä"}
    assert source[1]["txt"] == b"\xff" and source[1]["json"] == b'{"n": 1}'
    assert source[2]["__key__"] == "record 2" and source[2]["series"].shape == (3, 2)
    assert source.width("vector") == 2
    with pytest.raises(UserError, match="no vectors"):
        source.width("vector_2")
    assert pickle.loads(pickle.dumps(source))[1]["txt"] == b"\xff"


def test_the_same_batches_as_the_tars_it_was_written_from(tmp_path):
    tar = open_source(write_tar(tmp_path / "a.tar", pairs(40)))
    convert(tar, tmp_path / "0.array_record")
    tokenizer = write_tokenizer(tmp_path / "t.json")
    one, other = (
        TrainPipeline(settings(spec, tokenizer), ("image", "text"), 0, 8)
        for spec in (tar.paths[0], f"arrayrecord:{tmp_path}/*.array_record")
    )
    assert_batches_equal(one.batch(7), other.batch(7))


def test_threads_read_at_random(tmp_path):
    source = open_source(convert(open_source(write_tar(tmp_path / "a.tar", pairs(50))), tmp_path / "a.arrayrecord"))
    order = np.random.default_rng(0).permutation(50).tolist() * 4
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda i: source[i]["png"], order)) == [picture(i) for i in order]


def test_the_index_follows_the_file(tmp_path, monkeypatch):
    tar = open_source(write_tar(tmp_path / "a.tar", pairs(5)))
    path = convert(tar, tmp_path / "a.arrayrecord")
    first = open_source(path)
    with monkeypatch.context() as patch:
        patch.setattr(array_records, "build_index", None)
        assert open_source(path).fingerprint() == first.fingerprint()
    write_array_record(path, [tar[3]])
    assert len(open_source(path)) == 1 and open_source(path).fingerprint() != first.fingerprint()


def test_files_that_go_or_break(tmp_path):
    rng = np.random.default_rng(0)
    sounds = [rng.bytes(5000) for _ in range(200)]
    path = str(tmp_path / "a.arrayrecord")
    write_array_record(path, ({"flac": sound} for sound in sounds))
    source, later = open_source(path), open_source(path)
    data = bytearray((tmp_path / "a.arrayrecord").read_bytes())
    for place in range(100_000, 500_000, 1000):
        data[place] ^= 255
    (tmp_path / "a.arrayrecord").write_bytes(data)
    outcomes = {"read": 0, "refused": 0}
    for i in range(200):
        try:
            assert source[i]["flac"] == sounds[i]
            outcomes["read"] += 1
        except Unreadable as fault:
            assert fault.reason == "the record cannot be read"
            outcomes["refused"] += 1
    assert outcomes["read"] > 20 and outcomes["refused"] > 20, outcomes
    os.remove(path)
    with pytest.raises(Unreadable, match="the record cannot be read"):
        later[0]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (b"not a map", "not an ArrayRecord of samples"),
        (pickle.dumps({"png": b"1"}), "not an ArrayRecord of samples"),
        (msgpack.packb([1, 2]), "not a map of members"),
        (msgpack.packb({"png": 3}), "not bytes"),
        (msgpack.packb({"a/b": b"3"}), "not a map of members"),
        (msgpack.packb({1: b"3"}), "not an ArrayRecord of samples"),
    ],
)
def test_records_of_other_kinds(tmp_path, record, said):
    path = write_raw(tmp_path / "a.arrayrecord", [record])
    with pytest.raises(UserError, match=said) as error:
        open_source(path)
    assert error.value.where == path and "write_array_record" in error.value.remedy


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    member = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    member = member.ljust(127) + b"\n" + pickle.dumps(np.array([{}], object))
    source = open_source(write_raw(tmp_path / "a.arrayrecord", [msgpack.packb({"vector.array": member})]))
    with pytest.raises(Unreadable, match="npy array of Python objects"):
        source[0]


def test_files_of_other_kinds(tmp_path):
    (tmp_path / "a.arrayrecord").write_bytes(os.urandom(10**5))
    (tmp_path / "b.arrayrecord").write_bytes(b"")
    for name in "ab":
        with pytest.raises(UserError, match="not an ArrayRecord of samples|no samples"):
            open_source(str(tmp_path / f"{name}.arrayrecord"))
    with pytest.raises(UserError, match="must be local"):
        open_source("memory://bucket/a.arrayrecord")


def test_a_first_record_that_cannot_be_read_has_no_width(tmp_path):
    path = str(tmp_path / "a.arrayrecord")
    write_array_record(path, [{"vector.array": b"no array"}, {"vector": np.zeros(3, np.float32)}])
    with pytest.raises(UserError, match="first sample cannot be read") as error:
        open_source(path).width("vector")
    assert error.value.where == path
