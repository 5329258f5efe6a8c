"""Data behind addresses: an in-memory store, and a web server on this machine that breaks down now and then."""

import http.server
import json
import os
import pickle
import threading
from pathlib import Path

import fsspec
import numpy as np
import pytest
from shards import pairs, picture, write_tar

import mmjax.data.sources.index as index
from mmjax.data.sources import open_source, remote
from mmjax.data.sources.files import read_file
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """A cache folder of the test's own, and no waiting before another attempt."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "PAUSES", (0, 0, 0))


@pytest.fixture
def store():
    """An empty in-memory file system."""
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.fixture
def tars(tmp_path):
    """Two tars of this machine, of 5 and 3 samples."""
    return [write_tar(tmp_path / f"{n}.tar", pairs(count, first=10 * n)) for n, count in enumerate((5, 3))]


class Server(http.server.BaseHTTPRequestHandler):
    """Serves the bytes in `contents`, ranges too; the next `failures` requests fail."""

    contents: dict[str, bytes] = {}
    failures = 0
    ranges: list[tuple[int, int]] = []
    knows_ranges = True

    def do_GET(self):
        kind = type(self)
        if kind.failures > 0:
            kind.failures -= 1
            return self.send_error(503)
        data = self.contents.get(self.path)
        if data is None:
            return self.send_error(404)
        asked = self.headers.get("Range")
        if asked and self.knows_ranges:
            first, last = (int(n) for n in asked.removeprefix("bytes=").split("-"))
            kind.ranges.append((first, last + 1))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}")
            data = data[first : last + 1]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{len(self.contents[self.path])}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)
        return None

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    """(address, class of the handler) of a server that begins without contents."""
    pytest.importorskip("aiohttp")
    handler = type("Fresh", (Server,), {"contents": {}, "ranges": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def assert_same_samples(one, other):
    assert len(one) == len(other)
    for i in range(len(one)):
        here, there = dict(one[i]), dict(other[i])
        assert here.pop("__url__") and there.pop("__url__")
        assert here == there and one.members(i) == other.members(i)


def test_a_store_gives_what_the_disk_gives(store, tars):
    for n, path in enumerate(tars):
        store.pipe(f"/bucket/{n}.tar", Path(path).read_bytes())
    local = open_source("::".join(tars))
    for pattern in (
        "memory://bucket/{0..1}.tar",
        "memory://bucket/*.tar",
        "memory://bucket/0.tar::memory://bucket/1.tar",
    ):
        source = open_source(pattern)
        assert_same_samples(source, local)
        assert source.fingerprint() == local.fingerprint() and source.nbytes == local.nbytes
        assert source.url(7).startswith("memory://") and source.url(7).endswith("bucket/1.tar")
    assert_same_samples(pickle.loads(pickle.dumps(source)), local)


def test_the_index_is_cached_until_the_object_changes(store, tars, monkeypatch):
    built = []
    build = index.build_index
    monkeypatch.setattr(index, "build_index", lambda path, now: built.append(path) or build(path, now))
    store.pipe("/bucket/a.tar", Path(tars[0]).read_bytes())
    for _ in range(2):
        assert len(open_source("memory://bucket/a.tar")) == 5
    assert len(built) == 1
    store.pipe("/bucket/a.tar", Path(tars[1]).read_bytes())
    assert len(open_source("memory://bucket/a.tar")) == 3
    assert len(built) == 2


def test_web_server_reads_one_range_a_sample(web, tars):
    address, handler = web
    handler.contents["/a.tar"] = Path(tars[0]).read_bytes()
    source = open_source(f"{address}/a.tar")
    assert_same_samples(source, open_source(tars[0]))
    handler.ranges.clear()
    where = source.indexes[0].arrays
    assert source[3]["__key__"] == "000000003"
    assert handler.ranges == [(where["starts"][3], where["starts"][3] + where["sizes"][3])]


def test_large_members_are_skipped_while_indexing(web, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "WINDOW", 4096)
    address, handler = web
    path = write_tar(tmp_path / "big.tar", [(f"{n}.mp4", bytes(10**6)) for n in range(4)])
    handler.contents["/big.tar"] = Path(path).read_bytes()
    assert len(open_source(f"{address}/big.tar")) == 4
    assert sum(end - start for start, end in handler.ranges) <= 6 * 4096


def test_reads_that_fail_twice_and_then_work(web, tars):
    address, handler = web
    handler.contents["/a.tar"] = Path(tars[0]).read_bytes()
    handler.failures = 2
    source = open_source(f"{address}/a.tar")
    handler.failures = 2
    assert source[0]["png"] == picture(0)
    assert handler.failures == 0


def test_reads_that_keep_failing(web, tars):
    address, handler = web
    handler.contents["/a.tar"] = Path(tars[0]).read_bytes()
    source = open_source(f"{address}/a.tar")
    handler.failures = 10**6
    with pytest.raises(Unreadable, match="the shard cannot be read") as fault:
        source[0]
    assert "4 attempts" in fault.value.detail
    with pytest.raises(UserError, match="4 attempts") as error:
        open_source(f"{address}/a.tar")
    assert error.value.where == f"{address}/a.tar"


def test_what_is_not_there_is_not_asked_for_again(web, tars):
    address, handler = web
    handler.contents["/a.tar"] = Path(tars[0]).read_bytes()
    source = open_source(f"{address}/a.tar")
    handler.contents.clear()
    with pytest.raises(Unreadable, match="the shard cannot be read") as fault:
        source[0]
    assert "attempts" not in fault.value.detail
    with pytest.raises(UserError, match="no such file"):
        open_source(f"{address}/b.tar")


def test_a_server_without_ranges_is_refused(web, tars):
    address, handler = web
    handler.contents["/a.tar"] = Path(tars[0]).read_bytes()
    source = open_source(f"{address}/a.tar")
    handler.knows_ranges = False
    with pytest.raises(Unreadable) as fault:
        source[0]
    assert "whole files where a range" in fault.value.detail


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("memory://bucket/none.tar", "no such file"),
        ("memory://bucket/*.tar", "no tar matches"),
        ("nowhere://bucket/a.tar", "Protocol not known"),
    ],
)
def test_addresses_that_lead_nowhere(store, spec, said):
    with pytest.raises(UserError, match=said) as error:
        open_source(spec)
    assert "bucket" in str(error.value) and error.value.remedy


def test_cut_off_in_the_store(store, tars):
    whole = Path(tars[0]).read_bytes()
    store.pipe("/bucket/half.tar", whole[: 5 * 1024 + 100])
    store.pipe("/bucket/empty.tar", b"")
    with pytest.raises(UserError, match="cut off"):
        open_source("memory://bucket/half.tar")
    with pytest.raises(UserError, match="empty"):
        open_source("memory://bucket/empty.tar")


def test_a_table_in_the_store_names_files_beside_it(store):
    store.pipe("/bucket/pictures/1.png", picture(1))
    store.pipe("/bucket/pairs.tsv", b"filepath\ttitle\npictures/1.png\tone\n/etc/hostname.png\ttwo\n")
    source = open_source("memory://bucket/pairs.tsv")
    assert source[0]["png"] == picture(1) and source[0]["json"]["title"] == "one"
    with pytest.raises(Unreadable, match="file cannot be read") as fault:
        source[1]
    assert "a path of this machine" in fault.value.detail


def test_arrays_and_parquet_in_the_store(store, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    np.save(tmp_path / "v.npy", np.arange(6, dtype=np.float16).reshape(2, 3))
    parquet.write_table(pa.table({"title": ["a", "b"]}), tmp_path / "t.parquet")
    for name in ("v.npy", "t.parquet"):
        store.pipe(f"/bucket/{name}", (tmp_path / name).read_bytes())
    np.testing.assert_array_equal(open_source("memory://bucket/v.npy")[1]["vector"], [3, 4, 5])
    assert open_source("memory://bucket/t.parquet")[1]["json"] == {"title": "b"}


def test_single_files_have_a_limit(store, monkeypatch):
    store.pipe("/bucket/a.bin", json.dumps(list(range(100))).encode())
    assert len(read_file("memory://bucket/a.bin")) == 390
    monkeypatch.setattr("mmjax.data.sources.files.MOST_BYTES", 100)
    with pytest.raises(Unreadable, match="too large"):
        read_file("memory://bucket/a.bin")
    with pytest.raises(Unreadable, match="cannot be read"):
        read_file("/dev/zero")
    assert os.path.exists("/dev/zero")
