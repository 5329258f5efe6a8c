"""CSV, TSV and JSON lines: files named by columns, text fields, and rows that are broken but never lost."""

import json
import os
import pickle
from collections import Counter

import numpy as np
import pytest
from shards import picture, settings, write_tokenizer

from mmjax.data.captions import text_fields
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.sources import open_source
from mmjax.data.sources.index_cache import SUFFIX
from mmjax.data.sources.lines import split_lines
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError


def write(path, text, pictures=0) -> str:
    """A table, and pictures/0.png, ... beside it."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if pictures:
        (path.parent / "pictures").mkdir()
        for n in range(pictures):
            (path.parent / "pictures" / f"{n}.png").write_bytes(picture(n))
    return str(path)


def outcomes(source) -> list:
    """For each sample its title, or the reason why it cannot be read."""
    found = []
    for i in range(len(source)):
        try:
            found.append(source[i]["json"]["title"])
        except Unreadable as fault:
            found.append((fault.reason, fault.detail))
    return found


@pytest.mark.parametrize(("name", "separator"), [("a.csv", "\t"), ("a.tsv", "\t"), ("a.csv", ","), ("a.csv", ";")])
def test_files_and_fields(tmp_path, name, separator):
    rows = [["filepath", "title"], ["pictures/0.png", "a red cat"], ["pictures/1.png", "Füße"]]
    path = write(tmp_path / name, "".join(separator.join(row) + "\n" for row in rows), 2)
    source = open_source(path)
    assert len(source) == 2
    assert source[1] == {
        "__key__": "line 3",
        "__url__": path,
        "png": picture(1),
        "json": {"filepath": "pictures/1.png", "title": "Füße"},
    }
    assert source.members(1) == ("png", "json") and source.member_counts() == {"png, json": 2}
    assert source.nbytes == os.path.getsize(path) + len(picture(0)) + len(picture(1))
    assert pickle.loads(pickle.dumps(source))[0] == source[0]


def test_quotes_line_breaks_and_blank_lines(tmp_path):
    text = '\ufefftitle,key\r\n"a, b",1\r\n\r\n"say ""cheese""",2\n"two\nlines",3\n\n4,last'
    source = open_source(write(tmp_path / "a.csv", text))
    assert outcomes(source) == ["a, b", 'say "cheese"', "two\nlines", "4"]
    assert [source[i]["__key__"] for i in range(4)] == ["1", "2", "3", "last"]


def test_broken_rows_stay_and_say_their_line(tmp_path):
    lines = [b"filepath,title", b"p.png,one", b"p.png", b"p.png,two,2", b'p.png,"three', b"p.png,\xff", b"p.png,four"]
    (tmp_path / "p.png").write_bytes(picture(1))
    source = open_source(write(tmp_path / "a.csv", b"\n".join(lines) + b"\n"))
    wrong = "row has the wrong number of fields"
    assert outcomes(source) == [
        "one",
        (wrong, "line 3: 1, not 2"),
        (wrong, "line 4: 3, not 2"),
        ("row is no CSV", "line 5: unexpected end of data"),
        ("row is not UTF-8", "line 6: 'utf-8' codec can't decode byte 0xff in position 6: invalid start byte"),
        "four",
    ]
    assert [source.members(i) for i in (0, 1)] == [("png", "json"), ()]


def test_an_open_quote_takes_no_other_rows(tmp_path):
    rows = [f"{n}\t{chr(34) if n in (3, 7) else ''}word{n}\n" for n in range(10)]
    source = open_source(write(tmp_path / "a.tsv", "key\ttitle\n" + "".join(rows)))
    assert [kind for kind in outcomes(source) if isinstance(kind, str)] == [
        f"word{n}" for n in range(10) if n not in (3, 7)
    ]
    assert len(source) == 10


def test_a_field_of_a_megabyte_is_one_broken_row(tmp_path):
    rows = [f"{n},{'x' * 10**6 if n == 2 else 'short'}\n" for n in range(5)]
    source = open_source(write(tmp_path / "a.csv", "key,title\n" + "".join(rows)))
    assert Counter(map(str, outcomes(source)))["short"] == 4
    assert outcomes(source)[2][0] == "row is no CSV"


def test_json_lines(tmp_path):
    lines = [
        json.dumps({"image": "pictures/0.png", "sound": "s.wav", "title": ["a", "b"]}).encode(),
        b"",
        b'{"image": "pictures/1.png", ',
        b"[1, 2]",
        b'{"title": "\xff"}',
        b"[" * 10**5,
        json.dumps({"title": "only text"}).encode(),
        json.dumps({"image": None, "sound": "s.wav", "title": "only sound"}).encode(),
    ]
    path = write(tmp_path / "a.jsonl", b"\n".join(lines), 1)
    (tmp_path / "s.wav").write_bytes(b"RIFF")
    source = open_source(path)
    reasons = [kind if isinstance(kind, str | list) else kind[0] for kind in outcomes(source)]
    broken = "row is no JSON object"
    assert reasons == [["a", "b"], broken, broken, "row is not UTF-8", broken, "only text", "only sound"]
    assert source.members(0) == ("image.png", "sound.wav", "json")
    assert source.members(5) == ("json",) and source.members(6) == ("sound.wav", "json")
    assert source[0]["sound.wav"] == b"RIFF" and source[0]["image.png"] == picture(0)
    with pytest.raises(Unreadable) as fault:
        source[1]
    assert "line 3:" in fault.value.detail


def test_columns_that_are_and_are_not_files(tmp_path):
    """`clip` always names clips, `alt` only sometimes something with such an ending; `filepath` by its name."""
    for name in ("0.mp4", "1.webm"):
        (tmp_path / name).write_bytes(name.encode())
    text = "clip,alt,filepath\n0.mp4,IMG_1.jpg,notes.xyz\n1.webm,a cat,\n"
    (tmp_path / "notes.xyz").write_bytes(b"notes")
    source = open_source(write(tmp_path / "a.csv", text))
    assert source.members(0) == ("clip.mp4", "filepath.xyz", "json") and source.members(1) == ("clip.webm", "json")
    assert source[1]["clip.webm"] == b"1.webm"


def test_files_that_cannot_be_read(tmp_path):
    folder = tmp_path / "folder.png"
    folder.mkdir()
    source = open_source(write(tmp_path / "a.csv", f"filepath\n{folder}\nnone.png\nz\0.png\n"))
    for i, said in enumerate(("not a regular file", "No such file", "null byte")):
        with pytest.raises(Unreadable, match="file cannot be read") as fault:
            source[i]
        assert said in fault.value.detail


def test_index_follows_the_table(tmp_path):
    path = write(tmp_path / "a.csv", "title\na\nb\n")
    first = open_source(path)
    assert os.path.exists(path + SUFFIX)
    write(tmp_path / "a.csv", "title\na\nb\nc\n")
    assert outcomes(open_source(path)) == ["a", "b", "c"] and open_source(path).fingerprint() != first.fingerprint()
    write(tmp_path / "a.csv", "title\na,b\nc\n")
    assert outcomes(first)[0][0] == "the table has changed since it was indexed"
    os.remove(path)
    first._files = type(first._files)()
    assert outcomes(first)[0][0] == "the table cannot be read"


def test_several_tables_are_one_source(tmp_path):
    for n in range(2):
        write(tmp_path / f"{n}.csv", f"title\na{n}\nb{n}\n")
    assert outcomes(open_source(str(tmp_path / "{0..1}.csv"))) == ["a0", "b0", "a1", "b1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "no samples"),
        (b"title\n", "no samples"),
        (b"title,title\na,b\n", "'title' is there twice"),
        (b"\xff\xfe\n1\n", "not UTF-8"),
        (b"a,b\rc,d\re,f\n1,2\n", "no CSV"),
    ],
)
def test_tables_that_are_none(tmp_path, text, said):
    with pytest.raises(UserError, match=said) as error:
        open_source(write(tmp_path / "a.csv", text))
    assert "a.csv" in error.value.where and error.value.remedy


def test_lines_agree_with_any_blocks():
    data = b"one\ntwo\r\n\n" + b"x" * 50 + b"\nlast"
    whole = list(split_lines([data]))
    assert [line.data for line in whole] == data.splitlines(keepends=True)
    assert [data[line.start :][: len(line.data)] for line in whole] == [line.data for line in whole]
    assert [line.number for line in whole] == [1, 2, 3, 4, 5]
    for size in (1, 2, 3, 7, 64):
        assert list(split_lines(data[n : n + size] for n in range(0, len(data), size))) == whole


def test_bytes_at_random_lose_no_row(tmp_path):
    """Whatever a byte of a table becomes, every line but the changed ones is still read, or reported."""
    rng = np.random.default_rng(0)
    body = "".join(f"k{n},title {n}\n" for n in range(30))
    for trial in range(100):
        data = bytearray(b"key,title\n" + body.encode())
        places = rng.integers(10, len(data), 2)
        for place in places:
            data[place] = rng.choice(list(b'",\n\xff\0x\r'))
        path = write(tmp_path / f"{trial}.csv", bytes(data))
        source = open_source(path)
        found = outcomes(source)
        titles = {kind for kind in found if isinstance(kind, str)}
        untouched = [n for n in range(30) if f"k{n},title {n}".encode() in bytes(data).split(b"\n")]
        lost = [n for n in untouched if f"title {n}" not in titles]
        # Two quotes can enclose rows between them, which then are one field of one row.
        assert not lost or bytes(data).count(b'"') == 2


def test_training_batches_from_a_table(tmp_path):
    rows = "".join(f"pictures/{n % 4}.png\ta {'red' if n % 2 else 'blue'} cat\n" for n in range(16))
    source = write(tmp_path / "a.tsv", "filepath\ttitle\n" + rows, 4)
    data = settings(source, write_tokenizer(tmp_path / "t.json"), captions=(("{title}", 1.0),), augment={})
    pipeline = TrainPipeline(data, ("image", "text"), 0, 8)
    batch = pipeline.batch(0)
    assert (batch["image"][:, 4, 4, 0] == batch["id"] % 4).all()
    assert (batch["text"][:, 2] == np.where(batch["id"] % 2, 5, 7)).all()
    assert text_fields(pipeline.source[0])["title"] == "a blue cat"


def test_fields_come_without_reading_files(tmp_path):
    (tmp_path / "a.csv").write_text("filepath,title,score\nmissing.jpg,a cat,0.5\n")
    source = open_source(str(tmp_path / "a.csv"))
    assert source.fields(0) == {"key": "line 2", "filepath": "missing.jpg", "title": "a cat", "score": "0.5"}
    with pytest.raises(Unreadable):
        source[0]


def test_addresses_beside_files_are_not_fetched(tmp_path):
    """As in the tables of img2dataset, whose `url` is where a picture came from; fetching it would fail here."""
    rows = "".join(f"pictures/{n}.png\thttp://127.0.0.1:9/{n}.png\ta cat\n" for n in range(2))
    source = open_source(write(tmp_path / "a.csv", "filepath\turl\ttitle\n" + rows, pictures=2))
    assert source.members(0) == ("png", "json") and source[1]["png"] == picture(1)
    assert source[1]["json"]["url"] == "http://127.0.0.1:9/1.png"
    alone = open_source(write(tmp_path / "b.csv", "url\ttitle\nhttp://127.0.0.1:9/1.png\ta cat\n"))
    assert alone.members(0) == ("png", "json")


def test_rows_of_several_tables_have_keys_of_their_own(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("title,score\na cat,0.5\na dog,0.7\n")
    source = open_source(str(tmp_path / "*.csv"))
    assert len({source[i]["__key__"] for i in range(4)}) == 4
    assert [source.fields(i)["key"] for i in range(4)] == [source[i]["__key__"] for i in range(4)]
