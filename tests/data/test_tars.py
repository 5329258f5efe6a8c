"""The tar source: what it reads, what it refuses, and when its index is still good."""

import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from shards import pairs, picture, write_tar

import mmjax.data.sources.index as index
from mmjax.data.sources import open_source
from mmjax.data.sources.files import expand
from mmjax.data.sources.index_cache import SUFFIX
from mmjax.data.sources.tars import TarSource
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError


def test_reads_every_member_of_every_sample(tmp_path):
    members = pairs(7)
    source = TarSource(write_tar(tmp_path / "a.tar", members))
    assert len(source) == 7
    raw = source[4]
    assert raw["__key__"] == "000000004"
    assert raw["__url__"] == str(tmp_path / "a.tar")
    assert {name: raw[name] for name in ("png", "txt", "json")} == {
        name.split(".")[1]: data for name, data in members if name.startswith("000000004")
    }
    assert source.members(4) == ("png", "txt", "json")


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("folder", ["", "short/", "f" * 70 + "/", ("g" * 60 + "/") * 2, "é" * 60 + "/"])
def test_agrees_with_tarfile_on_every_name(tmp_path, format, folder):
    names = [f"{folder}{n:03d}.{kind}" for n in range(3) for kind in ("jpg", "txt")]
    if format == tarfile.USTAR_FORMAT and len(folder.encode()) > 150:
        folder = "p" * 90 + "/"
        names = [f"{folder}{n:03d}.{kind}" for n in range(3) for kind in ("jpg", "txt")]
    path = write_tar(tmp_path / "a.tar", [(name, name.encode() * 20) for name in names], format)
    source = TarSource(path)
    assert [source[i]["__key__"] for i in range(len(source))] == [f"{folder}{n:03d}" for n in range(3)]
    assert source[1]["txt"] == names[3].encode() * 20


def test_names_with_dots_folders_links_and_tricks(tmp_path):
    path = tmp_path / "a.tar"
    write_tar(
        path,
        [
            ("./k.noto.webp", b"1"),
            ("./k.JSON", b"2"),
            ("no-extension", b"3"),
            ("deep/er/k.txt", b"4"),
            ("dots..in/a..name.txt", b"5"),
            ("._hidden.txt", b"6"),
        ],
    )
    with tarfile.open(path, "a") as tar:
        folder, link = tarfile.TarInfo("folder.d"), tarfile.TarInfo("link.txt")
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(folder)
        tar.addfile(link)
    source = TarSource(str(path))
    raws = [source[i] for i in range(len(source))]
    assert [raw["__key__"] for raw in raws] == ["k", "deep/er/k", "dots..in/a"]
    assert raws[0]["noto.webp"] == b"1"
    assert raws[0]["json"] == b"2"
    assert raws[1]["txt"] == b"4"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar", "a.tar.mmjax-index.npz"]


def test_a_repeated_member_begins_a_new_sample(tmp_path):
    path = write_tar(tmp_path / "a.tar", [("k.txt", b"1"), ("k.jpg", b"2"), ("k.txt", b"3")])
    source = TarSource(path)
    assert [source[i].get("txt") for i in range(len(source))] == [b"1", b"3"]


@pytest.mark.parametrize("name", ["/abs.txt", "../k.txt", "a/../../k.txt", "a/../b.txt"])
def test_members_that_leave_their_folder_are_refused(tmp_path, name):
    path = write_tar(tmp_path / "a.tar", [("k.txt", b"1"), (name, b"2")])
    with pytest.raises(UserError, match="leaves the archive's folder") as error:
        TarSource(path)
    assert repr(name) in str(error.value) and error.value.where == path and error.value.remedy


@pytest.mark.parametrize("ending", ["pyd", "pickle", "pkl", "pth", "pt", "PKL", "meta.pickle"])
def test_pickles_are_refused(tmp_path, ending):
    path = write_tar(tmp_path / "a.tar", [("k.txt", b"1"), (f"k.{ending}", b"2")])
    with pytest.raises(UserError, match="is a pickle") as error:
        TarSource(path)
    assert f"'k.{ending}'" in str(error.value) and error.value.where == path and ".npy" in error.value.remedy


def test_an_index_of_an_earlier_version_is_built_again(tmp_path):
    """One that was built before pickles were refused must not let them in."""
    path = write_tar(tmp_path / "a.tar", [("k.pkl", b"2")])
    old = {"starts": np.zeros(1, "u8"), "sizes": np.full(1, 1024, "u4"), "layouts": np.zeros(1, "u2")}
    stamp = np.array([1, os.path.getsize(path), os.stat(path).st_mtime_ns])
    np.savez(path + SUFFIX, stamp=stamp, names=np.array(["pkl"]), digest=np.array("0" * 64), **old)
    with pytest.raises(UserError, match="is a pickle"):
        TarSource(path)


def test_every_ending_of_the_convention(tmp_path):
    pictures, texts = ["jpg", "png", "webp", "jpeg", "gif"], ["txt", "json", "cls"]
    endings = [*pictures, *texts, "flac", "wav", "mp3", "ogg", "mp4", "webm", "npy"]
    source = TarSource(write_tar(tmp_path / "a.tar", [(f"k.{ending}", ending.encode()) for ending in endings]))
    assert source.members(0) == tuple(endings)
    assert {name: data for name, data in source[0].items() if not name.startswith("_")} == {
        ending: ending.encode() for ending in endings
    }


def test_patterns(tmp_path):
    for n in range(3):
        write_tar(tmp_path / f"a{n:02d}.tar", pairs(2, first=10 * n))
    write_tar(tmp_path / "z.tar", pairs(1, first=99))
    where = str(tmp_path)
    assert [os.path.basename(p) for p in expand(f"{where}/a{{00..02}}.tar")] == ["a00.tar", "a01.tar", "a02.tar"]
    assert expand(f"{where}/a*.tar") == expand(f"{where}/a{{00,01,02}}.tar")
    source = open_source(f"{where}/a{{01..02}}.tar::{where}/z.tar")
    keys = [int(source[i]["__key__"]) for i in range(len(source))]
    assert keys == [10, 11, 20, 21, 99]
    assert [len(index.layouts) for index in source.indexes] == [2, 2, 1]
    assert source.member_counts() == {"png, txt, json": 5}


def test_shards_with_other_members_keep_theirs(tmp_path):
    write_tar(tmp_path / "a.tar", [("1.txt", b"x"), ("1.jpg", b"y"), ("2.jpg", b"z")])
    write_tar(tmp_path / "b.tar", [("3.jpg", b"x"), ("4.txt", b"y"), ("4.jpg", b"z")])
    source = TarSource(str(tmp_path / "*.tar"))
    assert [source.members(i) for i in range(4)] == [("txt", "jpg"), ("jpg",), ("jpg",), ("txt", "jpg")]


def test_errors_name_the_shard_and_the_byte(tmp_path):
    whole = write_tar(tmp_path / "whole.tar", pairs(5))
    data = Path(whole).read_bytes()
    cases = {
        "empty.tar": (b"", "empty"),
        "text.tar": (b"not a tar at all " * 100, "not a tar"),
        "gzip.tar": (b"\x1f\x8b" + bytes(range(256)) * 8, "not a tar"),
        "half.tar": (data[: 5 * 1024 + 100], "cut off"),
        "header.tar": (data[:1300], "cut off"),
        "unclosed.tar": (data.rstrip(b"\0") + bytes(512 - len(data.rstrip(b"\0")) % 512), "cut off"),
        "noise.tar": (data[:2048] + b"\xff" * 1024 + data[3072:], "no tar header"),
        "nothing.tar": (bytes(10240), "no samples"),
    }
    for name, (content, expected) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=expected) as error:
            TarSource(str(tmp_path / name))
        assert name in str(error.value)
        assert error.value.remedy
    with pytest.raises(UserError, match=r"byte 2048 of"):
        TarSource(str(tmp_path / "noise.tar"))


@pytest.mark.parametrize("spec", ["/nowhere/a.tar", "/nowhere/*.tar", "nonsense", "emoji:nowhere", ""])
def test_missing_data(spec):
    with pytest.raises(UserError):
        open_source(spec)


def test_index_is_reused_and_renewed(tmp_path, monkeypatch):
    built = []
    build = index.build_index
    monkeypatch.setattr(index, "build_index", lambda path, now: built.append(path) or build(path, now))
    path = write_tar(tmp_path / "a.tar", pairs(3))
    first = TarSource(path)
    again = TarSource(path)
    assert len(built) == 1
    for name, array in first.indexes[0].arrays.items():
        np.testing.assert_array_equal(array, again.indexes[0].arrays[name])
    os.utime(path, ns=(1, 1))
    TarSource(path)
    assert len(built) == 2, "another date"
    write_tar(path, pairs(4))
    os.utime(path, ns=(1, 1))
    assert len(TarSource(path)) == 4, "another size"
    (tmp_path / ("a.tar" + SUFFIX)).write_bytes(b"PK half an index")
    assert len(TarSource(path)) == 4
    assert len(built) == 4
    assert not list(tmp_path.glob("*.tmp"))


def test_index_goes_to_the_home_cache_where_the_folder_is_closed(tmp_path, monkeypatch):
    path = write_tar(tmp_path / "a.tar", pairs(3))
    (tmp_path / ("a.tar" + SUFFIX)).mkdir()  # os.replace onto a folder fails even for root
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    TarSource(path)
    assert len(list((tmp_path / "cache" / "mmjax").iterdir())) == 1
    monkeypatch.setattr(index, "build_index", None)
    assert len(TarSource(path)) == 3


def test_many_shards_are_indexed_by_further_processes(tmp_path, monkeypatch):
    for n in range(16):
        write_tar(tmp_path / f"{n:02d}.tar", pairs(1, first=n))
    monkeypatch.setattr(index, "build_index", None)  # so that this process cannot
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    source = TarSource(str(tmp_path / "*.tar"))
    assert [int(source[i]["__key__"]) for i in range(16)] == list(range(16))


def test_fingerprint_follows_content_not_place(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    one = TarSource(write_tar(tmp_path / "x" / "a.tar", pairs(3))).fingerprint()
    two = TarSource(write_tar(tmp_path / "y" / "a.tar", pairs(3))).fingerprint()
    other = TarSource(write_tar(tmp_path / "y" / "a.tar", pairs(3, first=1))).fingerprint()
    renamed = TarSource(write_tar(tmp_path / "y" / "b.tar", pairs(3))).fingerprint()
    assert one == two
    assert len({one, other, renamed}) == 3


def test_a_shard_that_changes_or_goes_is_unreadable_not_wrong(tmp_path):
    path = write_tar(tmp_path / "a.tar", pairs(6))
    changed, gone = TarSource(path), pickle.loads(pickle.dumps(TarSource(path)))
    data = Path(path).read_bytes()
    with open(path, "r+b") as file:
        file.truncate(len(data) // 2)
    assert changed[0]["__key__"] == "000000000"
    with pytest.raises(Unreadable, match="changed or is damaged"):
        changed[5]
    os.remove(path)
    with pytest.raises(Unreadable, match="cannot be read"):
        gone[0]


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_bytes_at_random_never_do_more_than_fail(tmp_path, format):
    """Headers hit by random bytes: every sample is read whole, or refused with its reason; nothing hangs."""
    path = tmp_path / "a.tar"
    members = [(f"{'d' * 120}/{n}.{kind}", bytes([n]) * 30) for n in range(3) for kind in ("jpg", "txt")]
    whole = Path(write_tar(path, members, format)).read_bytes()
    rng = np.random.default_rng(0)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(400):
        data = bytearray(whole)
        for place in rng.integers(0, len(whole.rstrip(b"\0")), 4):
            data[place] = rng.choice(list(b"0179 -x=LSg\0\x80\xff"))
        path.write_bytes(data)
        try:
            source = TarSource(str(path))
            for i in range(len(source)):
                assert sum(len(source[i][name]) for name in source.members(i)) <= len(data)
            outcomes["read"] += 1
        except (UserError, Unreadable) as error:
            assert str(error)
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 10, outcomes


def test_open_shards_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("mmjax.data.sources.files.OPEN_FILES", 2)
    for n in range(6):
        write_tar(tmp_path / f"{n}.tar", [("k.png", picture(n))])
    source = TarSource(str(tmp_path / "*.tar"))

    monkeypatch.setattr("mmjax.data.sources.files.OPEN_FILES", 0)
    unkept = TarSource(str(tmp_path / "*.tar"))  # a descriptor lives while it is read, even if the cache keeps none
    assert [unkept[n]["png"] for n in range(6)] == [picture(n) for n in range(6)]

    def open_tars():
        links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
        return sum(os.path.realpath(link).startswith(str(tmp_path)) for link in links)

    for _ in range(2):
        assert [source[n]["png"] for n in range(6)] == [picture(n) for n in range(6)]
        assert open_tars() == 2
    del source
    assert open_tars() == 0


def test_a_sample_has_a_limit(tmp_path, monkeypatch):
    source = TarSource(write_tar(tmp_path / "a.tar", [("a.txt", b"x" * 3000), ("b.txt", b"y")]))
    monkeypatch.setattr("mmjax.data.sources.tars.MOST_BYTES", 2000)
    assert source[1]["txt"] == b"y"
    with pytest.raises(Unreadable, match="too large"):
        source[0]


def test_fourteen_bytes_a_sample(tmp_path):
    index = TarSource(write_tar(tmp_path / "a.tar", pairs(10))).indexes[0]
    assert sum(array.nbytes for array in (index.layouts, *index.arrays.values())) == 14 * 10


def test_no_jax_in_data():
    code = (
        "import sys, mmjax.data.pipeline, mmjax.data.rows, mmjax.data.device, mmjax.data.inspection.preview;"
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
