"""Evaluations that rank by an objective's score of tokens: names of the sides, and what they say of what cannot be."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.evaluation.code_overlap import CodeOverlap
from mmjax.evaluation.embeddings import EmbeddedTokens
from mmjax.evaluation.group_retrieval import GroupRetrieval
from mmjax.evaluation.retrieval import one_way
from mmjax.evaluation.suite import Suite
from mmjax.evaluation.token_retrieval import TokenRetrieval, ranked
from mmjax.mesh import make_mesh
from mmjax.objectives import OBJECTIVES
from mmjax.objectives.weighted import WeightedObjectives
from tests import tiny

WIDTH = 8


class Told:
    """Tokens of `rows` records in every stream; "image_words" is a head of "image"."""

    def __init__(self, kind, rows=6, **options):
        part = OBJECTIVES[kind](**options)
        learns = kind not in ("softmax", "filip")
        params = {"score": part.score().init(jax.random.key(0), WIDTH)} if learns else {}
        self.objective, self._rows = lambda name: (part, params), rows

    def stream(self, name):
        return SimpleNamespace(name=name.removesuffix("_words"))

    def tokens(self, spec, name, **asked):
        rng = np.random.default_rng(len(name))
        tokens = rng.normal(size=(self._rows, 3, WIDTH)).astype(np.float32)
        tokens /= np.linalg.norm(tokens, axis=-1, keepdims=True)
        return EmbeddedTokens(tokens, np.ones((self._rows, 3), bool), tokens[:, 0], np.arange(self._rows))


@pytest.mark.parametrize(
    ("streams", "names"),
    [
        (("image", "text"), ("image", "text")),
        (("image", "image_2"), ("image", "image_2")),
        (("image", "image_words"), ("image", "image_words")),
    ],
)
def test_both_directions_have_names_of_their_own(streams, names):
    metrics = TokenRetrieval("any", "mine")(Told("filip", streams=streams)).metrics
    for there in (names, names[::-1]):
        assert metrics["{}_to_{}_queries".format(*there)] == 6


@pytest.mark.parametrize(
    "evaluation", [TokenRetrieval("a", "mine"), GroupRetrieval("a", "mine"), CodeOverlap("a", "mine")]
)
def test_an_objective_without_tokens(evaluation):
    with pytest.raises(UserError, match="'mine' has no score of tokens"):
        evaluation(Told("softmax"))


@pytest.mark.parametrize(("objective", "says"), [("mine", "no score of tokens"), ("other", "no objective 'other'")])
def test_an_objective_is_looked_at_before_the_run(objective, says):
    config = tiny.get_config("2")
    config.objectives = {"mine": config_lib.objective("softmax")}
    config.evaluations.tokens = config_lib.evaluation("token_retrieval", source="any", objective=objective)
    weighted = WeightedObjectives((("mine", "softmax", ()),))
    parts = {
        "objective": weighted,
        "model": None,
        "teachers": (),
        "mesh": make_mesh({"data": -1, "fsdp": 1, "tensor": 1}),
    }
    with pytest.raises(UserError, match=says):
        Suite(SimpleNamespace(config=config, total_steps=2, steps=lambda every, where: 1, **parts))


def test_a_score_without_a_codebook():
    with pytest.raises(UserError, match="no codebook"):
        CodeOverlap("a", "mine")(Told("filip"))


@pytest.mark.parametrize("group", ["text", ("audio",), ("image",), ()])
def test_groups_of_other_streams(group):
    with pytest.raises(UserError, match="is no group"):
        GroupRetrieval("a", "mine", groups=(group,))(Told("grouped_tokens", streams=("image", "text", "video")))


def test_ranks_of_a_matrix_are_those_of_its_inner_products():
    """In several parts, with several right answers, ties and queries without any."""
    rng = np.random.default_rng(0)
    x, y = (np.round(2 * rng.normal(size=(n, 5))).astype(np.float32) for n in (600, 70))
    ids = rng.integers(0, 40, 600), rng.integers(0, 30, 70)
    expected = one_way(x, y, *ids)
    found = ranked(x @ y.T, *ids, names=("image", "text"))
    assert found == pytest.approx({name: expected[name] for name in found}) and len(expected) == len(found) + 1


def test_one_record():
    with pytest.raises(UserError, match="1 records have both"):
        CodeOverlap("a", "mine")(Told("fdt", rows=1))
    with pytest.raises(UserError, match="a gallery of one text"):
        TokenRetrieval("a", "mine")(Told("filip", rows=1, streams=("image", "text")))
    with pytest.raises(UserError, match="a gallery of one text"):
        ranked(np.ones((2, 1)), [0, 1], [0], names=("image", "text"))
