"""ComCLIP's scorer by hand, its limits, boxes cut out of pictures, and an evaluation of made-up embeddings."""

from types import SimpleNamespace

import numpy as np
import pytest

from mmjax import config as c
from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embedded
from mmjax.evaluation.part_composition import (
    PartComposition,
    PartStream,
    composed_scores,
    embed_boxes,
    only_box,
    share_first,
)
from tests.papers.running import config_of, run


def unit(seed, *shape):
    x = np.random.default_rng(seed).normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_the_score_by_hand():
    pictures, parts, words, captions = unit(0, 4, 6), unit(1, 4, 3, 6), unit(2, 4, 3, 6), unit(3, 4, 6)
    words = np.where(np.sum(words * parts, -1, keepdims=True) < 0, -words, words)  # all products above 0
    for i in range(4):
        likeness = [words[i, k] @ parts[i, k] for k in range(3)]
        composed = pictures[i] + sum(s / sum(likeness) * part for s, part in zip(likeness, parts[i], strict=True))
        expected = composed @ captions[i] / np.linalg.norm(composed)
        np.testing.assert_allclose(composed_scores(pictures, parts, words, captions)[i], expected)


def test_limits():
    pictures, parts, captions = unit(0, 4, 6), unit(1, 4, 3, 6), unit(3, 4, 6)
    plain = np.sum(pictures * captions, 1)
    np.testing.assert_allclose(composed_scores(pictures, parts[:, :0], parts[:, :0], captions), plain)
    np.testing.assert_allclose(composed_scores(pictures, parts, -parts, captions), plain)  # no part shows its words
    np.testing.assert_allclose(composed_scores(pictures, pictures[:, None], pictures[:, None], captions), plain)
    order = [2, 0, 1]
    words = unit(2, 4, 3, 6)
    shuffled = composed_scores(pictures, parts[:, order], words[:, order], captions)
    np.testing.assert_allclose(shuffled, composed_scores(pictures, parts, words, captions))
    assert np.all(np.isfinite(composed_scores(pictures, -pictures[:, None], -pictures[:, None], captions)))


def test_the_share_of_first_choices():
    assert share_first(np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]])) == (1 + 0 + 0.5) / 3


def test_only_a_box_is_left():
    picture = np.full((10, 10, 3), 200, np.uint8)
    picture[2:4, 6:8] = 7
    picture[8, 8] = 9
    cut = only_box(picture, (0.6, 0.2, 0.8, 0.4))
    assert np.all(cut[2:4, 6:8] == 7) and np.all(np.delete(cut.reshape(100, 3), [26, 27, 36, 37], 0) == 200)


class Embeddings:
    """A picture is a bag of its two things' numbers; a text, of its words' numbers."""

    mesh = None

    def __init__(self, config=None):
        from mmjax.data.streams import make_stream

        self.stream = lambda name: make_stream((config or c.default()).data, name)
        self.pixels = []

    def rows(self, spec, stream, *, captions="", language=""):
        vectors = {"": unit(0, 5, 6), "true": unit(0, 5, 6), "false": unit(1, 5, 6), "part": unit(2, 5, 6)}[captions]
        return Embedded(vectors, np.arange(5), [SimpleNamespace(record=i) for i in range(5)])

    def embed(self, stream, source, rows, features):
        from mmjax.data.samples import Samples

        assert isinstance(stream, PartStream) and features == "image"
        self.pixels.append([stream.read(Samples(source, cache=0), row) for row in rows])
        return Embedded(unit(3 + len(self.pixels), len(rows), 6), np.array([row.record for row in rows]), rows)


SPEC = "synthetic:test,things=2,side=32,count=5"


def test_boxes_of_a_source():
    config = c.default()
    config.data.image_size = 32
    embeddings = Embeddings(config)
    for box in (0, 1, -1):
        assert embed_boxes(embeddings, SPEC, "image", np.arange(5), box).shape == (5, 6)
    for first, second, both in zip(*embeddings.pixels, strict=True):
        plain = np.median(both, axis=(0, 1))
        things = [(picture != plain).any(-1) for picture in (first, second)]
        assert things[0].any() and things[1].any() and not (things[0] & things[1]).any()
        np.testing.assert_array_equal((both != plain).any(-1), things[0] | things[1])
    with pytest.raises(UserError, match="sample 0 has no box 2"):
        embed_boxes(embeddings, SPEC, "image", np.arange(5), 2)


def test_an_evaluation():
    parts = (("part", 0), ("part", -1))
    result = PartComposition(SPEC, "true", parts, ("false",))(Embeddings())
    assert result.metrics["base_accuracy"] == 1.0 and 0 <= result.metrics["accuracy"] <= 1
    assert result.chance == {"accuracy": 0.5, "base_accuracy": 0.5}
    with pytest.raises(UserError, match="0 false captions"):
        PartComposition(SPEC, "true", parts, ())
    with pytest.raises(UserError, match="the parts of 2"):
        PartComposition(SPEC, "true", parts, ("false",), foil_parts=(parts, parts))


def test_configs():
    for arg in ("", "both", "full"):
        c.validate(config_of("comclip", arg))


@pytest.mark.slow
@pytest.mark.claim
def test_parts_say_whose_colour_it_is_to_a_model_of_single_things(tmp_path):
    """Colours exchanged: chance 0.5 for the whole picture, parts are better in each of three seeds."""
    metrics = run("comclip", workdir=tmp_path)
    assert metrics["val/colours/accuracy"] > metrics["val/colours/base_accuracy"] + 0.01
