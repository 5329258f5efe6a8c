"""SentencePiece models and bytes: the special ids, padding and cleaning of each family."""

import io
import pickle
import sys

import numpy as np
import pytest
import sentencepiece

from mmjax.data.tokenizers import make_tokenizer
from mmjax.data.tokenizers.pieces import canonical
from mmjax.errors import UserError

WORDS = ["cat", "dog", "tree", "red", "blue", "green", "two", "three", "on", "a", "photo"]


def train(path, **options):
    """A small model over WORDS in two cases, with punctuation."""
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice([*WORDS, "Cat", "Dog!", "(tree)", "x_y"], 6)) for _ in range(300)]
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, vocab_size=80, minloglevel=2, hard_vocab_limit=False, **options
    )
    path.write_bytes(out.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())


T5 = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}  # the special ids of SigLIP's c4-en
GEMMA = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3}


@pytest.mark.parametrize(
    ("family", "specials", "pad", "seen"),
    [
        ("siglip", T5, 1, "two cats x y a tree"),
        ("siglip2", GEMMA, 0, " two  cats, x_y:  (a tree)!"),
        ("sentencepiece", GEMMA, 0, " Two  Cats, X_y:  (a TREE)!"),
        ("sentencepiece", {"pad_id": -1, "eos_id": 1, "bos_id": -1, "unk_id": 0}, 0, " Two  Cats, X_y:  (a TREE)!"),
    ],
)
def test_families(tmp_path, family, specials, pad, seen):
    model = train(tmp_path / "m.model", **specials)
    tokenizer = make_tokenizer(f"{family}:{tmp_path / 'm.model'}", 48)
    ids, mask = tokenizer([" Two  Cats, X_y:  (a TREE)!", "a", ""])
    pieces = model.encode(seen)
    assert 3 < len(pieces) < 47
    assert ids[0].tolist() == [*pieces, 1] + [pad] * (47 - len(pieces))
    assert mask[0].tolist() == [True] * (len(pieces) + 1) + [False] * (47 - len(pieces))
    assert ids[1, : mask[1].sum()].tolist() == [*model.encode("a"), 1]
    assert not mask[2].any()
    assert (ids[2] == pad).all()
    assert (tokenizer.pad_id, tokenizer.context, tokenizer.vocab_size) == (pad, 48, model.vocab_size())
    assert ids.dtype == np.int32


def test_the_end_token_stays(tmp_path):
    model = train(tmp_path / "m.model", **T5)
    ids, mask = make_tokenizer(f"siglip:{tmp_path / 'm.model'}", 5)(["red tree " * 20])
    assert ids[0].tolist() == [*model.encode("red tree " * 20)[:4], 1]
    assert mask.all()


def test_canonical_by_hand():
    assert canonical("  A_photo, of: (Two)\n\tCATS!? \u00c9t\u00e9 -- it's ") == "a photo of two cats \u00e9t\u00e9 its"
    assert canonical("?!") == ""


def test_it_travels_and_takes_anything(tmp_path):
    train(tmp_path / "m.model", **T5)
    tokenizer = make_tokenizer(f"siglip:{tmp_path / 'm.model'}", 8)
    again = pickle.loads(pickle.dumps(tokenizer))
    captions = ["red tree", "half a pair \ud83d", "\u4e2d\u6587"]
    np.testing.assert_array_equal(again(captions)[0], tokenizer(captions)[0])


@pytest.mark.parametrize("content", [None, b"", b"no model at all"])
def test_files_that_are_no_model(tmp_path, content):
    if content is not None:
        (tmp_path / "m.model").write_bytes(content)
    with pytest.raises(UserError, match="no tokenizer"):
        make_tokenizer(f"siglip:{tmp_path / 'm.model'}", 8)


def test_a_model_without_an_end(tmp_path):
    train(tmp_path / "m.model", pad_id=0, eos_id=-1, unk_id=1, bos_id=-1)
    with pytest.raises(UserError, match="no end token"):
        make_tokenizer(f"siglip:{tmp_path / 'm.model'}", 8)


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(UserError, match=r"pip install 'mmjax\[sentencepiece\]'"):
        make_tokenizer("siglip:m.model", 8)


def test_bytes_by_hand():
    tokenizer = make_tokenizer("bytes", 6)
    ids, mask = tokenizer(["Ab", "\u00e9\u00e9\u00e9\u00e9", "", "\ud83d"])
    assert ids.tolist() == [
        [68, 101, 1, 0, 0, 0],
        [198, 172, 198, 172, 198, 1],
        [0] * 6,
        [ord("?") + 3, 1, 0, 0, 0, 0],
    ]
    assert mask.sum(1).tolist() == [3, 6, 0, 2]
    assert (ids.dtype, mask.dtype, tokenizer.vocab_size, tokenizer.pad_id) == (np.int32, bool, 259, 0)
    assert pickle.loads(pickle.dumps(tokenizer))(["Ab"])[0].tolist() == [[68, 101, 1, 0, 0, 0]]


@pytest.mark.parametrize("name", ["bytes", "siglip"])
def test_a_context_without_room(tmp_path, name):
    train(tmp_path / "m.model", **T5)
    with pytest.raises(UserError, match="context"):
        make_tokenizer(name if name == "bytes" else f"{name}:{tmp_path / 'm.model'}", 1)


@pytest.mark.parametrize("name", ["siglip:", "sentencepiece", "gpt", "bytes:4"])
def test_names_that_mean_nothing(name):
    with pytest.raises(UserError, match="no tokenizer") as error:
        make_tokenizer(name, 8)
    assert "siglip:PATH" in str(error.value)
