"""Rank consistency by hand, variance apart from deviation, and as an evaluation of languages and of streams."""

import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embedded
from mmjax.evaluation.languages import RankConsistency, rank_consistency


def test_variance_and_deviation_by_hand():
    ranks = [[0, 4, 1], [2, 4, 7]]
    assert rank_consistency(ranks) == pytest.approx({"MRV": (1 + 0 + 9) / 3, "rank_std": (1 + 0 + 3) / 3})


class Embeddings:
    """Captions at the angle of their record, those in German of records 0 and 1 exchanged; record 4 only in English."""

    mesh = None

    def rows(self, spec, stream, *, captions="", language=""):
        records = np.arange(4 if "de" in (language, stream) else 5)
        angles = 0.3 * records
        if "de" in (language, stream):
            angles[:2] = angles[1::-1]
        return Embedded(np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32), records, [])


@pytest.mark.parametrize(
    "evaluation",
    [RankConsistency("a", languages=("en", "de")), RankConsistency("a", streams=("image", "en", "de"))],
)
def test_an_evaluation(evaluation):
    result = evaluation(Embeddings())
    text = "text" if evaluation.languages else "en"
    # In German two of four pictures are found second instead of first.
    for names in (f"image_to_{text}", f"{text}_to_image"):
        assert result.metrics[f"{names}_MRV"] == pytest.approx(2 / 4 * 0.25)
        assert result.metrics[f"{names}_rank_std"] == pytest.approx(2 / 4 * 0.5)
        assert result.metrics[f"{names}_R@1"] == 0.75 and result.chance[f"{names}_R@1"] == 0.25


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: rank_consistency([[0, 1]]), "ranks of shape .1, 2."),
        (lambda: rank_consistency(np.zeros((2, 0))), "ranks of shape .2, 0."),
        (lambda: RankConsistency("a", languages=("en",)), "one language is consistent"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()
