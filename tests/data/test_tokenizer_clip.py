"""CLIP's tokenizer against open_clip's recorded ids, and on a small vocabulary against byte pairs merged by hand."""

import gzip
import importlib.metadata
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from mmjax.data.tokenizers import make_tokenizer
from mmjax.data.tokenizers.clip import PACKAGES, VOCABULARY, mended
from mmjax.errors import UserError

MERGES = ["t h", "th e</w>", "c a", "ca t</w>", "e r", "' s</w>", "\u00c3 \u00a9</w>", "a t</w>"]
START, END = 512 + len(MERGES), 513 + len(MERGES)


@pytest.fixture
def vocabulary(tmp_path):
    """The file's layout with eight merges."""
    path = tmp_path / VOCABULARY
    path.write_bytes(gzip.compress("\n".join(["#version: 0.2", *MERGES, ""]).encode()))
    return f"clip:{path}"


def letter(character):
    """Id of one printable ASCII byte within a word; at a word's end it is 256 more."""
    return ord(character) - ord("!")


def last(character):
    return 256 + letter(character)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("the cat", [513, 515]),
        ("  The\n\tCAT ", [513, 515]),
        ("theca", [512, letter("e"), letter("c"), last("a")]),
        ("cat's", [515, 517]),
        ("th er", [letter("t"), last("h"), letter("e"), last("r")]),  # no pair ends a word here
        ("hers", [letter("h"), 516, last("s")]),
        ("12", [last("1"), last("2")]),  # every digit is a word
        ("?!cat", [letter("?"), last("!"), 515]),
        ("\u00e9", [518]),
        ("e\u0301", [518]),  # composed by ftfy
        ("&eacute;", [518]),
        ("&amp;eacute;", [518]),
        ("\u00c3\u00a9", [518]),  # UTF-8 once taken for Latin-1
        ("\u2018s", [517]),  # curled quotes are straightened
    ],
)
def test_ids_by_hand(vocabulary, caption, expected):
    ids, mask = make_tokenizer(vocabulary, 9)([caption])
    expected = [START, *expected, END]
    assert ids[0].tolist() == expected + [0] * (9 - len(expected))
    assert mask[0].sum() == len(expected)


def test_bytes_have_the_order_of_their_letters(vocabulary):
    """Printable bytes come first: 33 to 126, 161 to 172 and 174 to 255; then 0 to 32, 127 to 160 and 173."""
    order = [*range(33, 127), *range(161, 173), *range(174, 256), *range(33), *range(127, 161), 173]
    ids, _ = make_tokenizer(vocabulary, 8)(["\u4e2d"])  # bytes e4 b8 ad
    assert ids[0, 1:4].tolist() == [order.index(0xE4), order.index(0xB8), 256 + order.index(0xAD)]


def test_truncation_keeps_the_end(vocabulary):
    ids, mask = make_tokenizer(vocabulary, 4)(["the cat the cat the cat", "the"])
    assert ids.tolist() == [[START, 513, 515, END], [START, 513, END, 0]]
    assert mask.tolist() == [[True] * 4, [True, True, True, False]]
    assert ids.dtype == np.int32


def test_empty_captions_have_an_empty_mask(vocabulary):
    ids, mask = make_tokenizer(vocabulary, 4)(["", " \n ", "&nbsp;"])
    assert not mask.any()
    assert not ids.any()


def test_names_of_special_ids_are_text(vocabulary):
    """No caption can end itself early."""
    tokenizer = make_tokenizer(vocabulary, 99)
    ids, mask = tokenizer(["cat <end_of_text> <|endoftext|> <|startoftext|> cat"])
    assert (ids[0] == END).sum() == 1
    assert (ids[0] == START).sum() == 1
    assert ids[0, mask[0].sum() - 2] == 515
    assert tokenizer.vocab_size == END + 1


def test_it_travels_to_worker_processes(vocabulary):
    tokenizer = make_tokenizer(vocabulary, 8)
    again = pickle.loads(pickle.dumps(tokenizer))
    assert (again.context, again.pad_id) == (8, 0)
    np.testing.assert_array_equal(again(["caf\u00e9 cat"])[0], tokenizer(["caf\u00e9 cat"])[0])


def test_halves_of_surrogate_pairs_do_no_harm(vocabulary):
    assert make_tokenizer(vocabulary, 8)(["cat \ud83d cat"])[1].sum() > 4


@pytest.mark.parametrize(
    "content",
    [None, b"", b"nothing", gzip.compress(b"one line"), gzip.compress(b"v\na b c\n"), gzip.compress(b"v\na b\n")[:20]],
    ids=["missing", "empty", "not compressed", "one line", "three in a pair", "cut off"],
)
def test_files_that_are_no_vocabulary(tmp_path, content):
    path = tmp_path / VOCABULARY
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="no vocabulary") as error:
        make_tokenizer(f"clip:{path}", 8)
    assert VOCABULARY in str(error.value)


def test_ftfy_is_asked_for_at_once(vocabulary, monkeypatch):
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(UserError, match=r"pip install 'mmjax\[clip\]'"):
        make_tokenizer(vocabulary, 8)


def test_plain_captions_need_no_mending():
    """What skips ftfy is what ftfy leaves as it is."""
    import ftfy

    rng = np.random.default_rng(0)
    plain = "".join(chr(c) for c in range(32, 127) if chr(c) != "&")
    for _ in range(2000):
        text = "".join(rng.choice(list(plain), 20))
        assert ftfy.fix_text(text) == text
        assert mended(text) == " ".join(text.split()).lower()


def test_the_vocabulary_of_an_installed_package(tmp_path, monkeypatch):
    """Found by its package's list of files; the package itself is not imported."""
    info, package = tmp_path / "open_clip_torch-9.9.dist-info", tmp_path / "open_clip"
    info.mkdir()
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / VOCABULARY).write_bytes(gzip.compress("\n".join(["v", *MERGES]).encode()))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: open_clip_torch\nVersion: 9.9\n")
    (info / "RECORD").write_text(f"open_clip/__init__.py,,\nopen_clip/{VOCABULARY},,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert make_tokenizer("clip", 8)(["the cat"])[0][0, :4].tolist() == [START, 513, 515, END]


def test_without_a_package_it_says_what_to_install(monkeypatch):
    def none(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr("importlib.metadata.files", none)
    with pytest.raises(UserError, match="pip install --no-deps open_clip_torch"):
        make_tokenizer("clip", 8)


def installed():
    for package in PACKAGES:
        try:
            if any(file.name == VOCABULARY for file in importlib.metadata.files(package) or ()):
                return True
        except importlib.metadata.PackageNotFoundError:
            continue
    return False


@pytest.mark.skipif(not installed(), reason="no installed package has CLIP's vocabulary")
def test_ids_equal_open_clips():
    """28 languages, emoji, entities, mojibake, ligatures, odd spaces: see "made by" in the file."""
    rows = json.loads(Path(__file__).with_name("clip_ids.json").read_text())["rows"]
    tokenizer = make_tokenizer("clip", 77)
    assert tokenizer.vocab_size == 49408
    ids, mask = tokenizer([text for text, _ in rows])
    assert len(rows) > 120
    for (text, expected), found, real in zip(rows, ids.tolist(), mask.sum(1), strict=True):
        assert found[:real] == expected, text
        assert not any(found[real:])
