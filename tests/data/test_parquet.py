"""Parquet in the layout of Hugging Face: media columns, nulls, labels, vectors, row groups, files that do not fit."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from shards import picture, settings, write_tokenizer

from mmjax.data.pipeline import TrainPipeline
from mmjax.data.sources import open_source
from mmjax.data.sources import parquet as parquet_source
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

MEDIUM = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}


def write(path, rows=10, first=0, group=4, **changes) -> str:
    """`rows` rows of picture, label, title, tags and vector, in groups of `group`."""
    numbers = range(first, first + rows)
    columns = {
        "image": pa.array([{"bytes": picture(n), "path": f"{n}.png"} for n in numbers], MEDIUM),
        "label": pa.array([n % 2 for n in numbers]),
        "title": pa.array([f"a red {n}" for n in numbers]),
        "tags": pa.array([["x", str(n)] for n in numbers]),
        "vector": pa.array([[n, n + 0.5] for n in numbers], pa.list_(pa.float32(), 2)),
    }
    table = pa.table({name: column for name, column in (columns | changes).items() if column is not None})
    metadata = {b"huggingface": json.dumps({"info": {"features": FEATURES}}).encode()}
    parquet.write_table(table.replace_schema_metadata(metadata), path, row_group_size=group)
    return str(path)


def test_rows_of_all_files_and_groups(tmp_path):
    for n in range(2):
        write(tmp_path / f"train-{n:05d}-of-00002.parquet", first=10 * n)
    source = open_source(str(tmp_path))
    assert len(source) == 20 and source.member_counts() == {"png, vector, json": 20}
    for i in (0, 3, 4, 9, 10, 19):
        raw = source[i]
        assert raw["png"] == picture(i)
        np.testing.assert_array_equal(raw["vector"], np.float32([i, i + 0.5]))
        assert raw["vector"].dtype == np.float32
        assert raw["json"] == {
            "label": i % 2, "label_name": ["cat", "dog"][i % 2], "title": f"a red {i}", "tags": ["x", str(i)]
        }  # fmt: skip
        assert raw["__key__"] == f"train-{i // 10:05d}-of-00002.parquet, row {i % 10}"
        assert raw["__url__"] == source.paths[i // 10]
    assert source.width("vector") == 2
    with pytest.raises(UserError, match="no column 'vector_2'"):
        source.width("vector_2")
    with pytest.raises(IndexError):
        source[20]
    assert pickle.loads(pickle.dumps(source))[19]["png"] == picture(19)


def test_nulls_are_known_without_reading(tmp_path):
    media = [
        {"bytes": picture(0), "path": None},
        None,
        {"bytes": None, "path": None},
        {"bytes": picture(3), "path": "x"},
    ]
    sounds = [None, {"bytes": b"fLaC", "path": "a.flac"}, None, None]
    thumbs = [picture(1), picture(1), picture(1), None]
    vectors = [[1.0, 2.0], None, [1.0, 2.0], [1.0, 2.0]]
    columns = {"image": pa.array(media, MEDIUM), "sound": pa.array(sounds, MEDIUM), "thumb": pa.array(thumbs)}
    path = write(tmp_path / "a.parquet", 4, group=3, vector=pa.array(vectors, pa.list_(pa.float32())), **columns)
    source = open_source(path)
    pictures, rest = ("image.png",), ("thumb.png", "vector", "json")
    assert [source.members(i) for i in range(4)] == [
        pictures + rest, ("sound.flac", *rest), pictures + rest, pictures + rest
    ]  # fmt: skip
    assert source[0]["image.png"] == picture(0) and "sound.flac" not in source[0]
    assert source[1]["sound.flac"] == b"fLaC" and "image.png" not in source[1] and "vector" not in source[1]
    for i in (2, 3):  # neither bytes nor path; no bytes in a plain column
        with pytest.raises(Unreadable, match="a medium is null"):
            source[i]


def test_bytes_columns_and_files_by_path(tmp_path):
    """Plain bytes are media if they look like it; a struct without bytes names a file."""
    (tmp_path / "7.png").write_bytes(picture(7))
    paths = pa.array([{"bytes": None, "path": "7.png"}] * 2, MEDIUM)
    plain, other = pa.array([picture(1)] * 2), pa.array([b"\0\1"] * 2)
    source = open_source(write(tmp_path / "a.parquet", 2, image=paths, thumb=plain, digest=other))
    assert source.members(0) == ("image.png", "thumb.png", "vector", "json")
    assert source[1]["image.png"] == picture(7) and source[1]["thumb.png"] == picture(1)
    assert source[1]["json"]["digest"] == b"\0\1"


def test_series_of_several_channels(tmp_path):
    series = pa.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]] * 2, pa.list_(pa.list_(pa.float64())))
    source = open_source(write(tmp_path / "a.parquet", 2, series=series))
    np.testing.assert_array_equal(source[1]["series"], [[1, 2], [3, 4], [5, 6]])
    assert source.width("series") == 2


def test_row_groups_are_kept_within_a_bound(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", 40, group=4)
    monkeypatch.setattr(parquet_source, "KEPT_BYTES", 3000)
    source = open_source(path)
    reads = []
    read = source._groups._read
    source._groups._read = lambda path, group: reads.append(group) or read(path, group)
    assert [source[i]["png"] for i in range(8)] == [picture(i) for i in range(8)]
    assert reads == [0, 1]
    with ThreadPoolExecutor(8) as pool:
        order = np.random.default_rng(0).permutation(40).tolist() * 3
        assert list(pool.map(lambda i: source[i]["png"], order)) == [picture(i) for i in order]
    assert 0 < source._groups._bytes <= 3000
    assert source._groups._bytes == sum(table.nbytes for table in source._groups._kept.values())


def test_a_file_without_a_column_is_named(tmp_path):
    write(tmp_path / "0.parquet")
    write(tmp_path / "1.parquet", title=None)
    with pytest.raises(UserError, match="no column 'title'") as error:
        open_source(str(tmp_path / "*.parquet"))
    assert "1.parquet" in error.value.where and "image, label, tags, vector" in error.value.where


def test_files_that_are_none_or_change(tmp_path):
    path = write(tmp_path / "a.parquet")
    source = open_source(path)
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(Unreadable, match="the file cannot be read"):
        source[0]
    with pytest.raises(UserError, match="cannot read the Parquet file"):
        open_source(path)
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(Unreadable, match="the file cannot be read"):
        source[0]
    (tmp_path / "b.parquet").write_bytes(b"")
    with pytest.raises(UserError, match="cannot read the Parquet file"):
        open_source(str(tmp_path / "b.parquet"))
    write(tmp_path / "a.parquet", 2)
    with pytest.raises(Unreadable, match="changed since it was indexed"):
        source[3]


def test_bytes_at_random_never_do_more_than_fail(tmp_path):
    path = write(tmp_path / "a.parquet", 6, group=3)
    whole = (tmp_path / "a.parquet").read_bytes()
    rng = np.random.default_rng(0)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            data[place] = rng.integers(256)
        (tmp_path / "a.parquet").write_bytes(data)
        try:
            source = open_source(path)
            for i in range(len(source)):
                source[i]
            outcomes["read"] += 1
        except (UserError, Unreadable) as error:
            assert str(error)
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 0, outcomes


def test_a_row_group_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("mmjax.data.sources.parquet_index.LARGEST_GROUP", 1000)
    assert len(open_source(write(tmp_path / "a.parquet", 20, group=2))) == 20
    with pytest.raises(UserError, match="which is read as a whole") as error:
        open_source(write(tmp_path / "b.parquet", 20, group=20))
    assert "b.parquet" in error.value.where and "row_group_size" in error.value.remedy


def test_training_batches_from_parquet(tmp_path):
    path = write(tmp_path / "a.parquet", 16)
    data = settings(path, write_tokenizer(tmp_path / "t.json"), captions=(("a {label_name}", 1.0),), augment={})
    batch = TrainPipeline(data, ("image", "text", "vector"), 0, 8).batch(0)
    assert (batch["image"][:, 4, 4, 0] == batch["id"]).all()
    assert (batch["text"][:, 2] == np.where(batch["id"] % 2, 11, 10)).all()
    assert (batch["vector"][:, 0] == batch["id"]).all()
