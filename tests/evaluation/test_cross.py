"""Retrieval between all streams and with two as the query, against plain numpy; the choice among all bit vectors."""

import itertools

import numpy as np
import pytest

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.evaluation.composed import compose
from mmjax.evaluation.cross import CrossRetrieval, XorChoice, cross_retrieval
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.table import parse_metric

RECORDS = {"image": np.arange(30), "image_2": np.arange(0, 30, 2), "text": np.arange(3, 30)}


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def sides():
    """Noisy copies of one vector a record."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(30, 6))
    return {
        name: (unit(base[records] + 0.9 * rng.normal(size=(len(records), 6))).astype(np.float32), records)
        for name, records in RECORDS.items()
    }


def vectors_of(sides, streams):
    """The float64 vectors of the records that all streams have."""
    shared = sorted(set.intersection(*(set(sides[s][1].tolist()) for s in streams)))
    return [sides[s][0].astype(np.float64)[[sides[s][1].tolist().index(r) for r in shared]] for s in streams]


def recall_at_1(scores):
    return np.mean(scores.argmax(1) == np.arange(len(scores)))


def volume(*vectors):
    """The volume of a parallelotope by its Gram determinant."""
    return np.sqrt(max(np.linalg.det(np.array([[u @ v for u in vectors] for v in vectors])), 0.0))


SCORES = {
    "sum": lambda a, b, c: unit(a + b) @ c.T,
    "product": lambda a, b, c: np.einsum("nd,nd,md->nm", a, b, c),
    "volume": lambda a, b, c: -np.array([[volume(u, v, w) for w in c] for u, v in zip(a, b, strict=True)]),
}


@pytest.mark.parametrize("how", SCORES)
def test_every_pair_and_every_two_for_a_third(sides, how):
    metrics, chance = cross_retrieval(sides, how)
    for a, b in itertools.permutations(sides, 2):
        x, y = vectors_of(sides, (a, b))
        scores = x @ y.T if how != "volume" else -np.array([[volume(u, v) for v in y] for u in x])
        assert metrics[f"{a}_to_{b}_R@1"] == pytest.approx(recall_at_1(scores))
        assert metrics[f"{a}_to_{b}_queries"] == len(x) and chance[f"{a}_to_{b}_R@1"] == pytest.approx(1 / len(x))
    for a, b, c in (("image", "image_2", "text"), ("image", "text", "image_2"), ("image_2", "text", "image")):
        x, y, z = vectors_of(sides, (a, b, c))
        assert metrics[f"{a}+{b}_to_{c}_R@1"] == pytest.approx(recall_at_1(SCORES[how](x, y, z)))
        assert metrics[f"{a}+{b}_to_{c}_queries"] == len(x) == len(range(4, 30, 2))
    assert parse_metric("val/unseen/image+image_2_to_text_R@1") == ("unseen", "image+image_2 → text", "R@1")


def test_pairs_alone(sides):
    assert not any("+" in name for name in cross_retrieval(sides, "").metrics)


def test_volume_of_vectors_in_one_line():
    x = np.array([[0.6, 0.8, 0.0]], np.float32)
    basis = compose([x, x], "volume")
    np.testing.assert_allclose(np.abs(basis[0] @ x[0]), [1, 0], atol=1e-6)


def test_streams_without_a_common_record(sides):
    apart = sides | {"text": (sides["text"][0], sides["text"][1] + 100)}
    with pytest.raises(UserError, match="no record has all of image, text"):
        cross_retrieval(apart, "sum")


def test_options_that_cannot_be():
    with pytest.raises(UserError, match="cannot compose queries by 'mean'"):
        CrossRetrieval("emoji:unseen", compose="mean")
    with pytest.raises(UserError, match="answer 'vector_4' is no stream here"):
        XorChoice("xor:", answer="vector_4")
    for streams in (("image",), ("image", "image")):
        with pytest.raises(UserError, match="retrieval between"):
            CrossRetrieval("emoji:unseen", streams=streams)
    for source in ("emoji:validation-unseen", "xor:dims=21,split=test"):
        with pytest.raises(UserError, match="no bits of which all vectors can be listed"):
            XorChoice(source)(None)


def encode_emoji(stream, batch):
    """Pictures by their mean colours, texts by the sum of their ids."""
    x = batch[stream].astype(np.float32).reshape(len(batch[stream]), -1)
    return unit(np.stack([x[:, i::4].mean(1) + 1 for i in range(4)], 1)).astype(np.float32)


def test_streams_are_those_of_the_config():
    """The style split has Fluent pictures alone: no record has a Noto one, and German captions are those asked for."""
    data = config_lib.default().data
    data.image_size = 16
    data.streams.image_2 = config_lib.stream("image", image_keys=("noto.webp",))
    data.streams.text_2 = config_lib.stream("text", languages=("de",), captions=(("{label}", 1.0),))
    embeddings = Embeddings(encode_emoji, data, batch_size=50, mesh=None)
    german = embeddings.rows("emoji:validation-unseen", "text_2")
    asked = embeddings.rows("emoji:validation-unseen", "text", captions="{label}", language="de")
    assert [row.text for row in german.rows] == [row.text for row in asked.rows]
    pictures = embeddings.rows("emoji:validation-unseen", "image_2")
    assert len(pictures.rows) == 78 and {row.member for row in pictures.rows} == {"noto.webp"}
    evaluation = CrossRetrieval("emoji:validation-unseen", ("image", "image_2", "text_2"))
    assert evaluation(embeddings).metrics["image+image_2_to_text_2_queries"] == 78
    with pytest.raises(UserError, match="no picture in emoji:validation-style"):
        CrossRetrieval("emoji:validation-style", ("image_2", "text_2"))(embeddings)


def signs(stream, batch):
    """Bits as signs, of which a product is the exclusive or."""
    return unit(1.0 - 2.0 * batch[stream]).astype(np.float32)


def test_choice_among_all_vectors():
    data = config_lib.default().data
    embeddings = Embeddings(signs, data, batch_size=128, mesh=None)
    spec = "xor:dims=4,split=test"
    result = XorChoice(spec)(embeddings)
    assert result.metrics == {"accuracy": 1.0} and result.chance == {"accuracy": 1 / 16}
    # By sums, a bit of which the signs differ is a tie, which the earlier vector wins, whose bit is 0: so a bit is
    # right where a = c = 0, where b = 0 too, but not where a = c = 1; where a != c, b = 1 and 0 is chosen.
    source = embeddings.rows(spec, "vector").vectors, embeddings.rows(spec, "vector_3").vectors
    right = ((source[0] > 0) & (source[1] > 0)).all(1)
    assert XorChoice(spec, compose="sum")(embeddings).metrics["accuracy"] == pytest.approx(right.mean())
    eight = XorChoice("xor:modalities=8,dims=1,split=test", tuple(_streams(8)), "vector_5")
    assert eight(embeddings).metrics == {"accuracy": 1.0}


def _streams(count):
    return ["vector", *(f"vector_{n}" for n in range(2, count + 1))]
