"""Choosing between captions: by hand, with draws, records that lack one, and embeddings that see all or nothing."""

from types import SimpleNamespace

import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.evaluation.choice import CaptionChoice, choice_accuracy
from mmjax.evaluation.embeddings import Embedded


def unit(*angles):
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def test_by_hand():
    records = np.arange(4)
    x = unit(0.0, 0.0, 0.0, 0.0), records
    true = unit(0.1, 0.5, 0.2, 0.3), records
    false = unit(0.2, 0.4, 0.9, 0.3), records
    assert choice_accuracy(x, [true, false]) == (1 + 0 + 1 + 0.5) / 4
    assert choice_accuracy(x, [true, false, false]) == pytest.approx((1 + 0 + 1 + 1 / 3) / 4)


def test_records_that_lack_one_are_left_out():
    x = unit(0.0, 0.0, 0.0), np.array([2, 5, 9])
    true = unit(1.0, 0.1), np.array([2, 9])
    false = unit(0.5, 0.2, 0.0), np.array([5, 9, 11])
    assert choice_accuracy(x, [true, false]) == 1.0
    with pytest.raises(UserError, match="no sample has all captions"):
        choice_accuracy(x, [true, (unit(0.0), np.array([5]))])


class Embeddings:
    """Of record i the picture lies at angle i, its true caption at i + `error`, its false one on the other side."""

    mesh = None

    def __init__(self, error):
        self.error, self.asked = error, []

    def rows(self, spec, stream, *, captions="", language=""):
        self.asked.append((spec, stream, captions, language))
        shift = {"": 0.0, "{true}": self.error, "{false}": 0.3 - self.error}[captions]
        records = np.repeat(np.arange(5), 2)
        angles = records + shift + np.tile([0.0, 9.0], 5)  # a second row of each record does not count
        return Embedded(unit(*angles), records, [SimpleNamespace(record=int(r)) for r in records])


@pytest.mark.parametrize(("error", "accuracy"), [(0.1, 1.0), (0.2, 0.0)])
def test_an_evaluation_of_embeddings(error, accuracy):
    evaluation = CaptionChoice("source", "{true}", ("{false}",), streams=("video", "text_2"), language="de")
    embeddings = Embeddings(error)
    result = evaluation(embeddings)
    assert result.metrics == {"accuracy": accuracy} and result.chance == {"accuracy": 0.5}
    assert [asked[1:] for asked in embeddings.asked] == [
        ("video", "", "de"),
        ("text_2", "{true}", "de"),
        ("text_2", "{false}", "de"),
    ]


def test_embeddings_that_do_not_see_the_difference_are_at_chance():
    evaluation = CaptionChoice("source", "{true}", ("{true}", "{true}"))
    result = evaluation(Embeddings(0.1))
    assert result.metrics["accuracy"] == pytest.approx(1 / 3) == result.chance["accuracy"]


def test_there_must_be_a_choice():
    with pytest.raises(UserError, match="no false captions"):
        CaptionChoice("source", "{true}", ())
