"""XMAI's choice of a word by hand, true attributes, and an evaluation of embeddings that are bags of words."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from mmjax import config as c
from mmjax.errors import UserError
from mmjax.evaluation.attribute_insertion import AttributeInsertion, insertion_scores, words_before
from mmjax.evaluation.embeddings import Embedded
from tests.papers.running import config_of, module, run

SPEC = "synthetic:test,things=2,side=16,count=30"
PLAIN = "a {shape} {relation} a {shape_2}"
NOUNS, ATTRIBUTES = ("shape", "shape_2"), (("colour", "size"), ("colour_2", "size_2"))


def test_scores_by_hand():
    scores = insertion_scores([4, 2, 0], [0.1, 0.5, 0.3], [1.0, 1.0, 1.0], (1, 2, 1))
    np.testing.assert_allclose(scores, [(1 + 0 + 1) / 4, (0.5 + 2 + 1) / 4, (0 + 1 + 1) / 4])
    np.testing.assert_allclose(insertion_scores([3], [0.2], [0.9], (1, 1, 1)), [1.0])


def test_words_before_a_word():
    assert words_before(["a red star", "a red ring", "a blue star"])["star"] == Counter({"red": 1, "blue": 1})


NUMBERS = {}


def bag(text):
    """A text as its words' numbers, in its own order: an ideal text tower for scenes told by their words."""
    vector = np.zeros(64)
    for word in text.split():
        vector[NUMBERS.setdefault(word, len(NUMBERS))] += 1
    return vector / np.linalg.norm(vector)


class Embeddings:
    """Pictures see all words of their full caption."""

    mesh = None

    def rows(self, spec, stream):
        from mmjax.data.sources import open_source

        source = open_source(spec)
        vectors = [bag(source[i]["json"]["caption"]) for i in range(len(source))]
        return Embedded(np.array(vectors, np.float32), np.arange(len(source)), [SimpleNamespace()] * len(source))

    def texts(self, texts, *, stream):
        return np.array([bag(text) for text in texts], np.float32)


def evaluated(**options):
    options = {"captions": PLAIN, "nouns": NOUNS, "attributes": ATTRIBUTES} | options
    return AttributeInsertion(SPEC, **options)(Embeddings()).metrics


def test_true_attributes_help_a_model_that_sees_them():
    metrics = evaluated()
    assert metrics["true_MRR"] > metrics["MRR"] and metrics["true_R@1"] > metrics["R@1"]
    assert metrics["MRR_drop"] == pytest.approx(1 - metrics["inserted_MRR"] / metrics["MRR"])


def test_what_is_inserted_follows_the_weights():
    true, false = evaluated(weights=(0.0, 1.0, 0.0)), evaluated(weights=(0.0, 0.0, 1.0))
    assert true["true_share"] == 1.0 and false["true_share"] == 0.0
    assert true["inserted_MRR"] > false["inserted_MRR"]


def test_what_does_not_fit():
    with pytest.raises(UserError, match="nouns"):
        AttributeInsertion(SPEC, captions="{caption}", nouns=NOUNS, attributes=ATTRIBUTES)
    with pytest.raises(UserError, match="three weights"):
        AttributeInsertion(SPEC, captions=PLAIN, nouns=NOUNS, attributes=ATTRIBUTES, weights=(1.0,))
    with pytest.raises(UserError, match="nothing stands before some 'shape'"):
        evaluated(corpus="{colour} {size}")
    with pytest.raises(UserError, match="sample 0 has no field 'mood'"):
        evaluated(attributes=(("mood",),) * len(NOUNS))


def test_configs():
    for arg in ("", "plain", "full"):
        c.validate(config_of("xmai", arg))
    inserted = config_of("xmai").evaluations.inserted
    assert (inserted.captions, inserted.nouns) == (module("xmai").PLAIN, NOUNS)


@pytest.mark.slow
@pytest.mark.claim
def test_insertion_lowers_ranks_and_true_attributes_raise_them(tmp_path):
    """Mean reciprocal ranks of 1,000 pictures, chance 0.0075."""
    metrics = run("xmai", "plain", workdir=tmp_path)
    plain, true, inserted = (metrics[f"val/inserted/{name}"] for name in ("MRR", "true_MRR", "inserted_MRR"))
    assert plain > 0.03 and true > 2 * plain and inserted < 0.7 * plain
    assert metrics["val/adversarial/MRR_drop"] > 0.85
