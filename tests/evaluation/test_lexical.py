"""Retrieval by weights of words: its forms against plain retrieval, the words of captions, and what cannot be."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embedded
from mmjax.evaluation.lexical import LexicalRetrieval, keep_top
from mmjax.evaluation.retrieval import one_way

WORDS = 12
CAPTIONS = ["3 5", "4", "5 6 7", "9 1", "2 3"]


def tokenize(texts):
    """The numbers of a text, then 0."""
    mask = np.zeros((len(texts), 5), bool)
    ids = np.zeros((len(texts), 5), np.int32)
    for row, text in enumerate(texts):
        words = [*map(int, text.split()), 0]
        ids[row, : len(words)], mask[row, : len(words)] = words, True
    return ids, mask


class Embeddings:
    """Weights (5, WORDS) of five records; the pictures' are greatest at the words of their own captions."""

    mesh = None

    def stream(self, name):
        about = {"name": name.removesuffix("_words")}
        return SimpleNamespace(**about, **({"tokenizer": tokenize} if name == "text_words" else {}))

    def rows(self, spec, name, **asked):
        weights = np.random.default_rng(len(name)).random((5, WORDS)).astype(np.float32)
        if name == "image_words":
            ids, mask = tokenize(CAPTIONS)
            for row in range(5):
                weights[row, ids[row][mask[row]]] += 2
        return Embedded(weights, np.arange(5), [SimpleNamespace(text=text) for text in CAPTIONS])


def test_forms_and_words():
    embeddings, names = Embeddings(), ("image", "text")
    result = LexicalRetrieval("any", k=4, leave_out=(0,))(embeddings)
    x, y = (embeddings.rows("any", f"{name}_words").vectors for name in names)
    ids = np.arange(5)
    for form, sides in (("dense", (x, y)), ("sparse", (keep_top(x, 4), keep_top(y, 4)))):
        for (a, b), (u, v) in ((names, sides), (names[::-1], sides[::-1])):
            expected = one_way(u, v, ids, ids, names=(f"{form}_{a}", b))
            assert {name: result.metrics[name] for name in expected} == expected
    assert result.metrics["words_to_image_R@1"] == 1.0
    # Of the five greatest words of each picture, those of its caption, the end of the text left out.
    assert result.metrics["word_precision@5"] == pytest.approx((2 + 1 + 3 + 2 + 2) / 25)
    assert result.chance["words_to_image_R@1"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"streams": ("text_words", "image_words")}, "'image_words' has no words"),
        ({"leave_out": (WORDS,)}, "12 weights, fewer than there are words"),
    ],
)
def test_what_cannot_be(options, says):
    with pytest.raises(UserError, match=says):
        LexicalRetrieval("any", **options)(Embeddings())


def test_captions_of_more_words_than_weights(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "CAPTIONS", [*CAPTIONS[:4], "12"])
    with pytest.raises(UserError, match="12 weights, fewer than there are words"):
        LexicalRetrieval("any", streams=("other_words", "text_words"))(Embeddings())
