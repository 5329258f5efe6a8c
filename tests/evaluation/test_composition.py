"""Composition scores by hand and by chance, captions matched between records, and made-up scenes."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.evaluation.composition import Composition, composition_scores, match_captions
from mmjax.evaluation.embeddings import Embedded, Embeddings


def test_by_hand():
    solved = [[0.9, 0.1], [0.2, 0.8]]
    captions_only = [[0.5, 0.4], [0.8, 0.9]]  # the second picture is nearer to both captions
    pictures_only = [[0.5, 0.8], [0.4, 0.9]]  # the second caption is nearer to both pictures
    draw = [[0.5, 0.5], [0.5, 0.5]]
    got = composition_scores(np.array([solved, captions_only, pictures_only, draw]), name="audio")
    assert got == {"text_score": 0.5, "audio_score": 0.5, "group_score": 0.25}


def test_chance_is_the_mean_over_every_order_of_four_similarities():
    orders = np.array(list(itertools.permutations(range(4))), float).reshape(-1, 2, 2)
    got = composition_scores(orders)
    assert list(got.values()) == pytest.approx([1 / 4, 1 / 4, 1 / 6])


def test_captions_are_matched_once_and_never_with_themselves():
    true = ["ab", "ba", "cc", "ab", "xy", "ba", "ba"]
    other = ["ba", "ab", "cc", "ba", "yx", "ab", "ab"]
    assert match_captions(true, other).tolist() == [[0, 1], [3, 5]]
    assert match_captions([], []).shape == (0, 2)


class Places:
    """Pictures of record i at an angle, captions at those of their texts; record 3 has no picture."""

    mesh = None
    captions = {"{own}": ["a", "b", "c", "b"], "{other}": ["b", "a", "d", "a"]}

    def __init__(self, angles):
        self.angles = angles

    def rows(self, spec, stream, *, keys=(), captions="", language=""):
        if stream == "image":
            angles = np.array([self.angles[0], self.angles[1], 2.0]) + (0.1 if keys == ("1.png",) else 0.0)
        else:
            angles = np.array([{"a": 0.0, "b": 0.5, "c": 2.0, "d": 2.1}[t] for t in self.captions[captions]])
        rows = [SimpleNamespace(record=i, text=t) for i, t in enumerate(self.captions[captions or "{own}"])]
        vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
        return Embedded(vectors, np.arange(len(vectors)), rows[: len(vectors)])


@pytest.mark.parametrize(("angles", "score"), [((0.0, 0.5), 1.0), ((0.5, 0.0), 0.0)])
def test_pairs_of_records(angles, score):
    result = Composition("source", captions=("{own}", "{other}"))(Places(angles))
    assert result.metrics == {"text_score": score, "image_score": score, "group_score": score, "pairs": 1.0}
    assert result.chance == {"text_score": 1 / 4, "image_score": 1 / 4, "group_score": 1 / 6}


def test_records_that_hold_both():
    """Of record 0 the pictures lie at 0 and .1, its captions at 0 and .5; record 1's the wrong way round."""
    evaluation = Composition("source", captions=("{own}", "{other}"), image_keys=("0.png", "1.png"))
    assert evaluation(Places((0.2, 0.2))).metrics["pairs"] == 3.0
    assert evaluation(Places((0.2, 0.2))).metrics["image_score"] == pytest.approx(2 / 3)


def test_made_up_scenes_hold_pairs():
    """Embeddings of the words themselves solve them all; of pictures that look alike, none."""
    data = config_lib.default().data
    data.image_size = 16
    table = {}

    def encode(stream, batch):
        if stream == "image":
            return np.ones((len(batch["image"]), 8), np.float32) / 8**0.5
        return np.stack(
            [table.setdefault(i.tobytes(), np.random.default_rng(len(table)).normal(size=8)) for i in batch["text"]]
        )

    words = ("{shape} {relation} {shape_2}", "{shape_2} {relation} {shape}")
    result = Composition("synthetic:test,count=200,things=2,side=16", captions=words)(
        Embeddings(encode, data, 50, None)
    )
    assert result.metrics["pairs"] > 30 and result.metrics["group_score"] == 0.0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: composition_scores(np.zeros((3, 2))), "shape .3, 2."),
        (lambda: composition_scores(np.zeros((0, 2, 2))), "shape .0, 2, 2."),
        (lambda: composition_scores(np.full((1, 2, 2), np.nan)), "give finite ones"),
        (lambda: Composition("a", captions=("{x}",)), "1 captions and 0 members"),
        (lambda: Composition("a", image_keys=("a",)), "2 captions and 1 members"),
        (lambda: Composition("a", captions=("{own}", "{own}"))(Places((0, 1))), "no two pictures and captions"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()
