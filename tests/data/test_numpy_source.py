"""Arrays as sources, and joined to others: rows on disk, texts and keys beside them, and files that are wrong."""

import json
import pickle
import zipfile

import numpy as np
import pytest
from shards import pairs, settings, write_tar, write_tokenizer

from mmjax.data.captions import text_fields
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.sources import open_source
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

VECTORS = np.arange(24, dtype=np.float16).reshape(6, 4)


@pytest.fixture
def arrays(tmp_path):
    """Six rows of two vectors and a series, with captions, fields and keys."""
    root = tmp_path / "arrays"
    root.mkdir()
    np.save(root / "vector.npy", VECTORS)
    np.save(root / "vector_2.npy", -VECTORS.astype(">f8"))
    np.save(root / "series.npy", np.arange(6 * 5 * 2).reshape(6, 5, 2))
    (root / "title.txt").write_text("".join(f"a {n}\r\n" for n in range(6)))
    (root / "more.jsonl").write_text("".join(json.dumps({"tags": ["cat", str(n)]}) + "\n" for n in range(6)))
    (root / "keys.txt").write_text("\n".join(f"{n:09d}" for n in (3, 1, 0, 9, 8, 4)))
    return str(root)


def test_rows_as_float32(arrays):
    source = open_source(f"numpy:{arrays}")
    raw = source[4]
    assert raw["__key__"] == "000000008" and raw["json"] == {"title": "a 4", "tags": ["cat", "4"]}
    assert text_fields(raw) == raw["json"]
    for name, expected in {
        "vector": VECTORS[4],
        "vector_2": -VECTORS[4],
        "series": np.arange(40, 50).reshape(5, 2),
    }.items():
        np.testing.assert_array_equal(raw[name], expected)
        assert raw[name].dtype == np.float32
    assert source.members(0) == ("series", "vector", "vector_2", "json")
    assert source.width("vector") == 4 and source.width("series") == 2 and len(source) == 6
    assert source.member_counts() == {"series, vector, vector_2, json": 6}
    assert source.row_of("000000009") == 3 and source.row_of("7") is None and source.row_of("zz") is None
    assert pickle.loads(pickle.dumps(source))[4]["__key__"] == "000000008"
    with pytest.raises(IndexError):
        source[6]


def test_a_single_file_and_an_archive(tmp_path):
    np.save(tmp_path / "emb.npy", VECTORS)
    np.savez(tmp_path / "a.npz", vector=VECTORS, vector_2=VECTORS[:, :1])
    np.testing.assert_array_equal(open_source(str(tmp_path / "emb.npy"))[5]["vector"], VECTORS[5])
    archive = open_source(str(tmp_path / "a.npz"))
    assert archive.width("vector_2") == 1 and archive.nbytes == 60 and archive[1]["vector_2"] == [4]


def test_fingerprint_follows_rows_and_texts(arrays):
    first = open_source(f"numpy:{arrays}").fingerprint()
    assert open_source(f"numpy:{arrays}").fingerprint() == first
    changed = np.array(VECTORS)
    changed[5, 0] = 1
    np.save(f"{arrays}/vector.npy", changed)
    second = open_source(f"numpy:{arrays}").fingerprint()
    with open(f"{arrays}/title.txt", "w") as file:
        file.write("b\n" * 6)
    assert len({first, second, open_source(f"numpy:{arrays}").fingerprint()}) == 3


def test_a_file_cut_off_while_it_is_read_fails_its_rows_only(arrays):
    source = open_source(f"numpy:{arrays}")
    with open(f"{arrays}/vector.npy", "r+b") as file:
        file.truncate(128 + 3 * 8)
    np.testing.assert_array_equal(source[2]["vector"], VECTORS[2])
    with pytest.raises(Unreadable, match="cannot be read"):
        source[3]
    with pytest.raises(UserError, match="does not fit"):
        open_source(f"numpy:{arrays}")


def test_values_that_are_not_finite(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1.0, 2], [np.nan, 2], [1, 1e300]]))
    source = open_source(str(tmp_path / "a.npy"))
    np.testing.assert_array_equal(source[0]["vector"], [1, 2])
    for i in (1, 2):
        with pytest.raises(Unreadable, match="not finite"):
            source[i]


def test_arrays_of_no_numbers(tmp_path):
    np.save(tmp_path / "a.npy", np.array(["one", "two"]))
    with pytest.raises(UserError, match="no numbers"):
        open_source(str(tmp_path / "a.npy"))


def test_bytes_at_random_never_do_more_than_fail(tmp_path):
    outcomes = {"read": 0, "refused": 0}
    rng = np.random.default_rng(0)
    for name, save in (("a.npy", np.save), ("a.npz", lambda path, array: np.savez(path, vector=array))):
        save(tmp_path / name, np.arange(24.0).reshape(6, 4))
        whole = (tmp_path / name).read_bytes()
        for _ in range(100):
            data = bytearray(whole)
            for place in rng.integers(0, len(whole), 3):
                data[place] = rng.integers(256)
            (tmp_path / name).write_bytes(data)
            try:
                source = open_source(str(tmp_path / name))
                assert all(source[i]["vector"].dtype == np.float32 for i in range(len(source)))
                outcomes["read"] += 1
            except (UserError, Unreadable) as error:
                assert str(error)
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 10, outcomes


def test_a_broken_line_is_one_unreadable_sample(arrays):
    with open(f"{arrays}/more.jsonl", "w") as file:
        file.write("{}\n{\n[]\n{}\n{}\n{}\n")
    source = open_source(f"numpy:{arrays}")
    assert source[0]["json"] == {"title": "a 0"}
    with pytest.raises(Unreadable, match="no JSON object") as fault:
        source[1]
    assert "more.jsonl, line 2" in fault.value.detail


def write_objects(path):
    np.save(path, np.array([{}, None], object), allow_pickle=True)


def write_by_columns(path):
    np.save(path, np.asfortranarray(VECTORS))


def write_junk(path):
    path.write_bytes(b"\x93NUMPY\x01\x00\xff\xff" + b"x" * 100)


def write_scalar(path):
    np.save(path, np.float32(1))


def write_other_rows(path):
    np.save(path, VECTORS[:5])


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (write_objects, "objects, which is a pickle"),
        (write_by_columns, "stored by columns"),
        (write_junk, "not a .npy file"),
        (write_scalar, "does not fit"),
        (write_other_rows, "of one length"),
    ],
)
def test_arrays_that_cannot_be_used(arrays, tmp_path, write, said):
    write(tmp_path / "arrays" / "vector_3.npy")
    with pytest.raises(UserError, match=said) as error:
        open_source(f"numpy:{arrays}")
    assert "arrays" in error.value.where and error.value.remedy


def test_folders_and_archives_without_use(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="of one length, not {}"):
        open_source(f"numpy:{tmp_path}")
    np.savez(tmp_path / "a.npz", vector=np.array([None]))
    with pytest.raises(UserError, match="cannot read the archive"):
        open_source(str(tmp_path / "a.npz"))
    (tmp_path / "b.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="cannot read the archive"):
        open_source(str(tmp_path / "b.npz"))
    with zipfile.ZipFile(tmp_path / "c.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vector.npy", bytes(10**6))
    monkeypatch.setattr("mmjax.data.sources.numpy_source.LARGEST_ARCHIVE", 10**5)
    with pytest.raises(UserError, match="unpacks to 1000000 bytes"):
        open_source(str(tmp_path / "c.npz"))


def test_keys_must_differ(arrays):
    with open(f"{arrays}/keys.txt", "w") as file:
        file.write("a\nb\nc\nb\nd\ne\n")
    with pytest.raises(UserError, match="'b' is there twice"):
        open_source(f"numpy:{arrays}")


def test_join_by_key(arrays, tmp_path):
    tar = write_tar(tmp_path / "a.tar", pairs(6))
    source = open_source(f"{tar} && numpy:{arrays}")
    assert len(source) == 6 and source.width("vector") == 4
    assert source.members(0) == ("png", "txt", "json", "series", "vector", "vector_2", "1.json")
    np.testing.assert_array_equal(source[3]["vector"], VECTORS[0])
    np.testing.assert_array_equal(source[0]["vector"], VECTORS[2])
    assert "vector" not in source[2] and source[2]["__key__"] == "000000002"
    fields = text_fields(source[3])
    assert fields["key"] == "000000003" and fields["title"] == "a 0" and source[3]["__url__"] == tar
    assert source.fingerprint() != open_source(tar).fingerprint()
    assert pickle.loads(pickle.dumps(source))[3]["__key__"] == "000000003"


def test_join_by_row(tmp_path):
    tar = write_tar(tmp_path / "a.tar", pairs(6))
    np.save(tmp_path / "emb.npy", VECTORS)
    source = open_source(f"{tar}&&{tmp_path}/emb.npy")
    np.testing.assert_array_equal(source[3]["vector"], VECTORS[3])
    assert source.member_counts() == {"png, txt, json, vector": 6}
    np.save(tmp_path / "emb.npy", VECTORS[:5])
    with pytest.raises(UserError, match="6 samples joined row by row to 5"):
        open_source(f"{tar} && {tmp_path}/emb.npy")
    with pytest.raises(UserError, match="both sources have a member 'png'"):
        open_source(f"{tar} && {tar}")


def test_training_batches_of_pictures_and_joined_vectors(arrays, tmp_path):
    """The way of offline text towers: pictures from a tar, their captions' vectors from a folder, some missing."""
    spec = f"{write_tar(tmp_path / 'a.tar', pairs(6))} && numpy:{arrays}"
    entry = {"vector": {"kind": "vector", "missing": 0.0}}
    data = settings(spec, write_tokenizer(tmp_path / "t.json"), streams=entry, augment={})
    batch = TrainPipeline(data, ("image", "vector"), 0, 6).batch(0)
    rows = {3: 0, 1: 1, 0: 2, 4: 5}
    for row, record in enumerate(batch["id"].tolist()):
        assert batch["vector_present"][row] == (record in rows)
        expected = VECTORS[rows[record]] if record in rows else np.zeros(4)
        np.testing.assert_array_equal(batch["vector"][row], expected)
        assert batch["image"][row, 4, 4, 0] == record


@pytest.mark.parametrize("row", [0, -1])
def test_a_first_or_last_row_that_is_not_finite_fails_alone(tmp_path, row):
    array = np.ones((3, 2), np.float32)
    array[row, 0] = np.nan
    np.save(tmp_path / "a.npy", array)
    first = open_source(str(tmp_path / "a.npy")).fingerprint()
    array[row, 1] = 2
    np.save(tmp_path / "a.npy", array)
    assert open_source(str(tmp_path / "a.npy")).fingerprint() != first
