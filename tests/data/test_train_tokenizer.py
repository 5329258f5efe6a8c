"""Tokenizers trained on the captions of a small source."""

import json

import pytest
from shards import picture, settings, write_tar

from mmjax.data.sources import open_source
from mmjax.data.tokenizers import make_tokenizer
from mmjax.data.tokenizers.train import every_caption, train_tokenizer
from mmjax.data.unreadable import UnreadableCount
from mmjax.errors import UserError

KINDS = {"en": ["striped", "spotted", "old", "sleeping"], "de": ["gestreift", "gefleckt", "alt", "schlafend"]}
ANIMALS = {"en": ["zebra", "leopard", "owl", "tiger", "fish"], "de": ["Zebra", "Leopard", "Eule", "Tiger", "Fisch"]}


def label(language, n):
    return f"{KINDS[language][n % 4]} {ANIMALS[language][n % 5]}"


@pytest.fixture
def animals(tmp_path):
    """80 samples with a label in two languages; one of them is broken."""
    members = []
    for n in range(80):
        labels = {language: label(language, n) for language in KINDS}
        members.append((f"{n:03d}.png", picture(n)))
        members.append((f"{n:03d}.json", b"{" if n == 7 else json.dumps({"label": labels, "n": n}).encode()))
    return write_tar(tmp_path / "animals.tar", members)


def data_of(spec, **changes):
    captions = (("{label}", 1.0), ("A {label}.", 1.0))
    return settings(spec, "bytes", captions=captions, languages=("en", "de"), **changes)


def test_every_caption_is_read(animals):
    count = UnreadableCount(1.0)
    texts = list(every_caption(open_source(animals), data_of(animals), count))
    assert texts[:4] == ["striped zebra", "gestreift Zebra", "A striped zebra.", "A gestreift Zebra."]
    assert len(texts) == 79 * 4
    assert count.reasons == {"json member is no JSON object": 1}


def test_only_the_captions_of_text_streams_are_read(animals):
    streams = {"text_2": {"kind": "text", "languages": ("de",), "captions": (("{label}", 1.0),), "missing": 0.0}}
    texts = list(every_caption(open_source(animals), data_of(animals, streams=streams), UnreadableCount(1.0)))
    assert set(texts) == {label("de", n) for n in range(20)}


@pytest.mark.parametrize(("kind", "prefix"), [("bpe", ""), ("sentencepiece", "sentencepiece:")])
def test_words_become_pieces_and_the_rest_is_bytes(animals, tmp_path, kind, prefix):
    path = tmp_path / "new" / "tokenizer"
    result = train_tokenizer(open_source(animals), data_of(animals), 360, str(path), kind)
    assert result["captions"] == 316
    assert result["unreadable"] == {"json member is no JSON object": 1}
    assert 260 < result["vocab_size"] <= 360
    tokenizer = make_tokenizer(prefix + str(path), 48)
    assert tokenizer.vocab_size == result["vocab_size"]
    ids, mask = tokenizer(["old zebra", "\u4e2d"])
    assert tokenizer.pad_id == 0
    assert [ids[row, mask[row].sum() - 1] for row in (0, 1)] == [1, 1]  # the end token
    assert mask[0].sum() <= 6  # of nine letters and the end
    assert 4 <= mask[1].sum() <= 6  # three bytes, the end, and perhaps the space before


def test_mistakes(animals, tmp_path):
    source, path = open_source(animals), str(tmp_path / "t.json")
    with pytest.raises(UserError, match="wordpiece"):
        train_tokenizer(source, data_of(animals), 360, path, "wordpiece")
    with pytest.raises(UserError, match="vocab_size is 259"):
        train_tokenizer(source, data_of(animals), 259, path)
    nothing = settings(animals, "bytes", captions=(("{title}", 1.0),), max_unreadable=1.0)
    with pytest.raises(UserError, match="no captions"):
        train_tokenizer(source, nothing, 360, path)
    with pytest.raises(UserError, match="unreadable samples"):
        train_tokenizer(source, data_of(animals, max_unreadable=0.0), 360, path)
    assert not (tmp_path / "t.json").exists()
