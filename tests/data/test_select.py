"""Selections: conditions, duplicates, uid files as DataComp writes them, and what is kept of them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from shards import picture, settings, write_tar

from mmjax.data.selection.conditions import OPERATORS, Condition, make_conditions
from mmjax.data.selection.scan import lookup
from mmjax.data.selection.select import Selected, select
from mmjax.data.selection.uids import PAIR, contains, load_uids, parse_uid
from mmjax.data.sources import open_source
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

SAMPLES = {
    "a": {"width": 100, "score": "0.5", "url": "u1", "label": {"en": "cat", "de": "Katze"}},
    "b": {"width": 300, "score": "0.25", "url": "u2"},
    "c": {"width": 300, "score": "1e-1", "url": "u1", "label": {"en": "dog"}},
    "d": {"width": 250, "url": "u3"},
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mmjax"


@pytest.fixture
def source(tmp_path):
    members = []
    for key, fields in SAMPLES.items():
        members += [(f"{key}.png", picture(1)), (f"{key}.txt", b" a cat"), (f"{key}.json", json.dumps(fields).encode())]
    return open_source(write_tar(tmp_path / "data.tar", members))


def wanted(**changes):
    return SimpleNamespace(**(vars(settings("", "emoji")) | {"where": (), "unique": "", "uids": ""} | changes))


def keys(source):
    return "".join(source[i]["__key__"] for i in range(len(source)))


def test_nothing_asked_is_the_source_itself(source, cache):
    assert select(source, wanted()) is source
    assert not cache.exists()


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ((("width", ">=", 250),), "bcd"),
        ((("width", ">", 250), ("score", "<", 0.2)), "c"),
        ((("score", "==", 0.1),), "c"),
        ((("score", "!=", 0.1),), "ab"),
        ((("score", "in", (0.5, 0.25)),), "ab"),
        ((("url", "not in", ("u1",)),), "bd"),
        ((("label.en", "contains", "at"),), "a"),
        ((("key", "<=", "b"),), "ab"),
        ((("txt", "==", " a cat"), ("url", "==", "u3")), "d"),
        ([["width", "<", 200]], "a"),
    ],
)
def test_where(source, where, kept):
    assert keys(select(source, wanted(where=where))) == kept


def test_unique_keeps_the_first_of_each_value_and_all_without_one(source):
    assert keys(select(source, wanted(unique="url"))) == "abd"
    assert keys(select(source, wanted(unique="score"))) == "abcd"
    assert keys(select(source, wanted(unique="width"))) == "abd"
    assert keys(select(source, wanted(unique="label.en"))) == "abcd"


def test_unique_counts_only_what_passes_the_conditions(source):
    assert keys(select(source, wanted(unique="url", where=(("width", ">=", 250),)))) == "bcd"


def test_a_selection_is_a_source(source):
    chosen = select(source, wanted(where=(("width", ">", 100),)))
    assert isinstance(chosen, Selected) and len(chosen) == 3 and chosen.numbers.dtype == np.int32
    assert chosen.members(0) == ("png", "txt", "json") and chosen.url(2) == source.url(3)
    assert chosen.member_counts() == {"png, txt, json": 3}
    assert chosen.nbytes == source.nbytes * 3 // 4 and chosen.paths == source.paths
    other = select(source, wanted(where=(("width", "<", 300),)))
    assert len({chosen.fingerprint(), other.fingerprint(), source.fingerprint()}) == 3
    with pytest.raises(UserError, match="no vectors"):
        chosen.width("vector")


def test_scanned_once(source, cache, monkeypatch):
    first = select(source, wanted(unique="url"))
    assert len(list(cache.glob("select-*.npy"))) == 1
    monkeypatch.setattr("mmjax.data.selection.select.scan", lambda *_: pytest.fail("scanned again"))
    again = select(source, wanted(unique="url"))
    assert again.fingerprint() == first.fingerprint()
    with pytest.raises(pytest.fail.Exception):
        select(source, wanted(unique="width"))


def test_a_broken_cache_is_made_anew(source, cache):
    select(source, wanted(unique="url"))
    (place,) = cache.glob("select-*.npy")
    place.write_bytes(place.read_bytes()[:50])
    assert keys(select(source, wanted(unique="url"))) == "abd"
    assert np.load(place).tolist() == [0, 1, 3]


def test_a_field_that_no_sample_has(source):
    with pytest.raises(UserError, match="no sample has the field 'widht'") as error:
        select(source, wanted(where=(("widht", ">", 1),)))
    assert "did you mean 'width'" in error.value.remedy
    with pytest.raises(UserError, match="no sample has the field 'urls'"):
        select(source, wanted(unique="urls"))


def test_nothing_is_left(source):
    with pytest.raises(UserError, match="none of 4 samples is selected"):
        select(source, wanted(where=(("width", ">", 1000),)))


def test_values_that_cannot_be_compared(source):
    with pytest.raises(UserError, match="cannot tell whether url = 'u1' is > 3"):
        select(source, wanted(where=(("url", ">", 3),)))
    with pytest.raises(UserError, match="is no condition"):
        select(source, wanted(where=(("width", "=>", 3),)))


@pytest.mark.parametrize("cell", ["", " "])
def test_an_empty_cell_of_a_table_is_no_number(cell):
    assert not any(Condition("x", name, 3)(cell) for name in ("==", "<", ">=", "!="))
    assert not Condition("x", "in", (1, 2))(cell) and Condition("x", "==", "")("")


def test_numbers_and_truths_are_not_mixed_up():
    assert Condition("x", "==", True)(True) and not Condition("x", "==", True)("True")
    assert Condition("x", "==", "3")("3") and not Condition("x", "==", "3")(3)
    assert len(make_conditions([("x", name, 1) for name in OPERATORS])) == len(OPERATORS)
    assert lookup({"a.b": 1, "a": {"b": 2, "c": b"text"}}, "a.b") == 1
    assert lookup({"a": {"c": b"text"}}, "a.c") == "text" and lookup({"a": 1}, "a.c") is None


def test_unreadable_samples_are_left_out_and_not_remembered(tmp_path, cache):
    members = [("a.json", b'{"n": 1}'), ("b.json", b"[1, 2"), ("c.json", b'{"n": 1}')]
    source = open_source(write_tar(tmp_path / "data.tar", members))
    assert keys(select(source, wanted(where=(("n", "==", 1),), max_unreadable=0.5))) == "ac"
    assert not cache.exists()
    with pytest.raises(UserError, match="json member is no JSON object"):
        select(source, wanted(where=(("n", "==", 1),), max_unreadable=0.0))


UIDS = {"a": "00" * 15 + "07", "b": "f" * 32, "c": "0123456789abcdef" * 2, "d": "0" * 15 + "1" + "0" * 16}


def uid_tar(tmp_path):
    members = [(f"{key}.json", json.dumps({"uid": uid}).encode()) for key, uid in UIDS.items()]
    return open_source(write_tar(tmp_path / "pool.tar", members))


def write_uids(path, uids):
    np.save(path, np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids], np.dtype("u8,u8")))
    return str(path)


def test_uids(tmp_path):
    source = uid_tar(tmp_path)
    path = write_uids(tmp_path / "sorted.npy", [UIDS["a"], "0" * 31 + "8", UIDS["c"]])
    assert keys(select(source, wanted(uids=path))) == "ac"
    path = write_uids(tmp_path / "unsorted.npy", [UIDS["b"], UIDS["a"], UIDS["d"]])
    assert keys(select(source, wanted(uids=path))) == "abd"


def test_uids_as_text(tmp_path):
    path = tmp_path / "uids.txt"
    path.write_text(f"{UIDS['d']}\n\n{UIDS['a'].upper()}\n")
    assert keys(select(uid_tar(tmp_path), wanted(uids=str(path)))) == "ad"
    path.write_text("not-a-uid\n")
    with pytest.raises(UserError, match="'not-a-uid': 9 characters"):
        load_uids(str(path))


def test_the_key_serves_as_uid(tmp_path):
    source = open_source(write_tar(tmp_path / "pool.tar", [(f"{uid}.txt", b"a cat") for uid in UIDS.values()]))
    path = write_uids(tmp_path / "uids.npy", [UIDS["c"]])
    assert keys(select(source, wanted(uids=path))) == UIDS["c"]


def test_a_changed_uid_file_is_read_again(tmp_path):
    source, path = uid_tar(tmp_path), tmp_path / "uids.npy"
    write_uids(path, [UIDS["a"]])
    assert keys(select(source, wanted(uids=str(path)))) == "a"
    write_uids(path, [UIDS["a"], UIDS["c"]])
    assert keys(select(source, wanted(uids=str(path)))) == "ac"


def test_membership_agrees_with_sets():
    rng = np.random.default_rng(0)

    def some(count):
        pairs = np.zeros(count, PAIR)
        pairs["f0"], pairs["f1"] = rng.integers(0, 9, count), rng.integers(2**64 - 9, 2**64, count, dtype=np.uint64)
        return pairs

    listed, asked = np.sort(some(30)), some(500)
    known = set(listed.tolist())
    found = contains(listed, asked)
    assert found.tolist() == [pair in known for pair in asked.tolist()] and 0 < found.sum() < 500


@pytest.mark.parametrize("text", ["", "f" * 31, "g" * 32, 7, "f" * 33])
def test_what_is_no_uid(text):
    with pytest.raises(Unreadable, match="uid is not 32 hexadecimal digits"):
        parse_uid(text)


@pytest.mark.parametrize(
    "array", [np.arange(4), np.zeros(3, "u8,f8"), np.zeros((2, 2), "u8,u8"), np.zeros(2, "u8,u8,u8")]
)
def test_files_that_hold_no_uids(tmp_path, array):
    np.save(tmp_path / "other.npy", array)
    with pytest.raises(UserError, match="cannot read the uids: an array"):
        load_uids(str(tmp_path / "other.npy"))


def test_uid_files_are_never_unpickled(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    for name in ("objects.npy", "missing.npy"):
        with pytest.raises(UserError, match="cannot read the uids"):
            load_uids(str(tmp_path / name))


class Rows:
    """Samples made up as they are asked for, which give their fields by themselves."""

    paths, nbytes = ["rows"], 0

    def __init__(self, count):
        self.count, self.asked = count, set()

    def __len__(self):
        return self.count

    def fields(self, i):
        self.asked.add(i)
        return {"key": str(i), "group": i % 700}

    def __getitem__(self, i):
        pytest.fail("the whole sample was read")

    def fingerprint(self):
        return f"rows {self.count}"


def test_many_samples_by_many_threads_without_reading_them_whole():
    chosen = select(Rows(2000), wanted(unique="group", where=(("group", ">=", 50),), threads=5))
    np.testing.assert_array_equal(chosen.numbers, np.arange(50, 700))


def test_a_mistaken_field_is_found_out_early():
    rows = Rows(200_000)
    with pytest.raises(UserError, match="no sample has the field 'groop'"):
        select(rows, wanted(unique="groop"))
    assert len(rows.asked) < 100_000
