"""Evaluations that rank by an objective's score of tokens: names of the sides, and what they say of what cannot be."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.evaluation import code_overlap, ranking, sharded
from mmjax.evaluation import token_retrieval as token_retrieval_module
from mmjax.evaluation.code_overlap import CodeOverlap
from mmjax.evaluation.embeddings import EmbeddedTokens
from mmjax.evaluation.group_retrieval import GroupRetrieval
from mmjax.evaluation.retrieval import retrieval
from mmjax.evaluation.token_retrieval import Similarity, TokenRetrieval, token_retrieval
from mmjax.losses.rows import Rows
from mmjax.losses.tokens import token_rows
from mmjax.losses.tokens_attention import AttentionPooled
from mmjax.losses.tokens_codebook import Codebook
from mmjax.losses.tokens_scores import MaxSimilarity, WeightedMaxSimilarity
from mmjax.mesh import make_mesh
from mmjax.objectives import OBJECTIVES

WIDTH = 8


class Told:
    """Tokens of `rows` records in every stream; "image_words" is a head of "image"."""

    mesh = None

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


def test_a_score_without_a_codebook():
    with pytest.raises(UserError, match="no codebook"):
        CodeOverlap("a", "mine")(Told("filip"))


@pytest.mark.parametrize("group", ["text", ("audio",), ("image",), ()])
def test_groups_of_other_streams(group):
    with pytest.raises(UserError, match="is no group"):
        GroupRetrieval("a", "mine", groups=(group,))(Told("grouped_tokens", streams=("image", "text", "video")))


def told_sides(rows=23, others=17, tokens=(3, 4), masked=True):
    """Tokens of two sides whose records repeat, some without partner; padding holds garbage."""
    rng, sides = np.random.default_rng(0), []
    for count, length in zip((rows, others), tokens, strict=True):
        x = rng.normal(size=(count, length, WIDTH)).astype(np.float32)
        mask = rng.random((count, length)) < (0.7 if masked else 2)
        mask[:, 0] = True
        x = np.where(mask[..., None], x, 1e3)
        vectors = x[:, 0] / np.linalg.norm(x[:, 0], axis=1, keepdims=True)
        sides.append(EmbeddedTokens(x.astype(np.float32), mask, vectors, rng.integers(0, 9, count)))
    return sides


def by_hand(scores, query_ids, gallery_ids):
    """Ranks from 1 of the first right row in the whole order of a matrix of scores; of queries that have one."""
    order = np.argsort(-scores, axis=1, kind="stable")
    right = gallery_ids[order] == query_ids[:, None]
    return 1 + right.argmax(1)[right.any(1)]


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("score", [MaxSimilarity(), AttentionPooled(), WeightedMaxSimilarity()], ids=repr)
def test_blocks_on_any_mesh_rank_as_the_matrix_of_scores(score, devices, monkeypatch):
    monkeypatch.setattr(token_retrieval_module, "BLOCK", 4)
    x, y = told_sides()
    rng = np.random.default_rng(1)
    params = score.init(jax.random.key(0), WIDTH)
    params = jax.tree.map(lambda p: p + rng.normal(size=p.shape).astype(np.float32) / 3, params)
    mesh = make_mesh({"data": 2, "fsdp": 4, "tensor": 1}) if devices == 8 else None
    found = token_retrieval(score, params, x, y, names=("image", "text"), mesh=mesh)
    rows = [token_rows(jnp.asarray(s.tokens), jnp.asarray(s.mask), vector=jnp.asarray(s.vectors)) for s in (x, y)]
    there, back = score(*(score.prepare(r, params, first=f) for r, f in zip(rows, (True, False), strict=True)), params)
    for name, scores, ids in (
        ("image_to_text", there, (x.records, y.records)),
        ("text_to_image", back.T, (y.records, x.records)),
    ):
        ranks = by_hand(np.asarray(scores), *ids)
        assert found[f"{name}_queries"] == len(ranks)
        assert found[f"{name}_mean_rank"] == pytest.approx(ranks.mean())
        assert found[f"{name}_MRR"] == pytest.approx(np.mean(1 / ranks))


def test_one_token_a_row_is_plain_retrieval():
    """With ties, several right answers and queries without any; every metric."""
    x, y = (side._replace(tokens=np.round(side.tokens)) for side in told_sides(300, 70, (1, 1), masked=False))
    expected = retrieval(x.tokens[:, 0], y.tokens[:, 0], x.records, y.records)
    assert token_retrieval(MaxSimilarity(), {}, x, y, names=("image", "text")) == expected


def test_memory_is_a_few_blocks_not_the_scores():
    rows, tokens, block = 16_384, 2, 64
    mesh = make_mesh({"data": 8, "fsdp": 1, "tensor": 1})
    lie = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(("data", "fsdp")))

    def blocks(*shape, dtype=jnp.float32):
        return jax.ShapeDtypeStruct((rows // block, block, *shape), dtype, sharding=lie)

    number, there = blocks(dtype=jnp.int32), blocks(dtype=jnp.bool_)
    facts = {"mask": blocks(tokens, dtype=jnp.bool_), "present": there, "key": number}
    side = {"x": Rows({"tokens": blocks(tokens, WIDTH)}, facts), "id": number, "index": number}
    best, common = {"best": (blocks(), number)}, (Similarity({}, MaxSimilarity(), True),)
    compiled = sharded.fold.lower(ranking._count_before, number, side | best, side, mesh, common).compile()
    held = rows * (tokens * WIDTH + 30) * 4 * 3 // 8
    bound = held + 12 * (block * tokens) ** 2 * 4
    assert compiled.memory_analysis().temp_size_in_bytes < bound < rows * rows * 4 / 8 / 20


@pytest.mark.parametrize("where", ["tokens", "params"])
def test_a_diverged_model(where):
    (x, y), score = told_sides(), AttentionPooled()
    params = score.init(jax.random.key(0), WIDTH)
    if where == "params":
        params["linear"]["kernel"] *= np.nan
    else:
        x.tokens[3, 0, 2] = np.nan
    with pytest.raises(UserError, match="scores of image and text are not finite"):
        token_retrieval(score, params, x, y, names=("image", "text"))


def test_no_record_in_common():
    x, y = told_sides()
    with pytest.raises(UserError, match="no image has a correct text"):
        token_retrieval(MaxSimilarity(), {}, x, y._replace(records=y.records + 9), names=("image", "text"))


@pytest.mark.parametrize("devices", [1, 8])
def test_overlaps_of_codes_are_those_of_all_rows_at_once(devices, monkeypatch):
    monkeypatch.setattr(code_overlap, "BLOCK", 4)
    x, y = told_sides(13, 13)
    score = Codebook(codes=11, softness=0.3)
    params = score.init(jax.random.key(0), WIDTH)
    a, b = (
        np.asarray(score.shares(token_rows(jnp.asarray(s.tokens), jnp.asarray(s.mask)), params)) > 0 for s in (x, y)
    )
    mesh = make_mesh({"data": 8, "fsdp": 1, "tensor": 1}) if devices == 8 else None
    found = code_overlap.overlaps(score, params, x, y, mesh=mesh)
    other = np.roll(b, 1, axis=0)
    expected = [np.mean((a & c).sum(1) / (a | c).sum(1)) for c in (b, other)] + [(a.mean() + b.mean()) / 2]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert 0 < found[0] < 1


def test_one_record():
    with pytest.raises(UserError, match="1 records have both"):
        CodeOverlap("a", "mine")(Told("fdt", rows=1))
    with pytest.raises(UserError, match="a gallery of one text"):
        TokenRetrieval("a", "mine")(Told("filip", rows=1, streams=("image", "text")))
