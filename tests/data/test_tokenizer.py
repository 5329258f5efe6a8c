"""The tokenizer against ids worked out by hand, and files that are none."""

import numpy as np
import pytest
from shards import write_tokenizer
from tokenizers import Tokenizer as Raw

from mmjax.data.tokenizers import Tokenizer
from mmjax.errors import UserError


def test_ids_padding_and_mask(tmp_path):
    tokenizer = Tokenizer(write_tokenizer(tmp_path / "t.json"), 6)
    ids, mask = tokenizer(["a red cat", "zebra"])  # a 4, red 5, cat 10, unknown 3
    np.testing.assert_array_equal(ids, [[1, 4, 5, 10, 2, 0], [1, 3, 2, 0, 0, 0]])
    np.testing.assert_array_equal(mask, [[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]])
    assert ids.dtype == np.int32
    assert mask.dtype == bool
    assert tokenizer.vocab_size == 13


def test_truncation_keeps_the_end_token(tmp_path):
    ids, mask = Tokenizer(write_tokenizer(tmp_path / "t.json"), 4)(["a red green blue big"])
    np.testing.assert_array_equal(ids, [[1, 4, 5, 2]])
    assert mask.all()


def test_without_special_tokens(tmp_path):
    tokenizer = Tokenizer(write_tokenizer(tmp_path / "t.json", specials=False), 2)
    np.testing.assert_array_equal(tokenizer(["a red green"])[0], [[4, 5]])


def test_a_caption_without_a_piece_has_an_empty_mask(tmp_path):
    ids, mask = Tokenizer(write_tokenizer(tmp_path / "t.json"), 6)(["", "   ", "a"])
    assert mask.any(1).tolist() == [False, False, True]
    assert (ids[:2] == 0).all()


def test_pad_id_of_the_file(tmp_path):
    path = write_tokenizer(tmp_path / "t.json")
    raw = Raw.from_file(path)
    raw.enable_padding(pad_id=12, pad_token="tree", length=99)
    raw.enable_truncation(3)
    raw.save(path)
    ids, _ = Tokenizer(path, 5)(["a red"])
    np.testing.assert_array_equal(ids, [[1, 4, 5, 2, 12]])


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff\xfe", b"model = 1"])
def test_files_that_are_no_tokenizer(tmp_path, content):
    path = tmp_path / "t.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="no tokenizer") as error:
        Tokenizer(str(path), 8)
    assert "t.json" in str(error.value)


def test_a_context_without_room(tmp_path):
    with pytest.raises(UserError, match="context"):
        Tokenizer(write_tokenizer(tmp_path / "t.json"), 2)


@pytest.mark.parametrize("name", ["emoji", "emoji-multilingual"])
def test_shipped_tokenizers(name):
    tokenizer = Tokenizer(name, 16)
    ids, mask = tokenizer(["grinning face", "lachendes Gesicht"])
    assert mask.sum(1).min() >= 3
    assert ids.max() < tokenizer.vocab_size
