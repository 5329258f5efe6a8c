"""FILIP: late interaction by the greatest product of tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.losses import softmax_contrastive, token_contrastive, token_rows, tokens
from mmjax.losses.tokens_scores import MaxSimilarity, WeightedMaxSimilarity
from mmjax.objectives.tokens import token_sides
from tests.papers import token_cases
from tests.papers.running import check_mesh, config_of, run
from tests.papers.token_cases import ROWS, X_PRESENT, Y_PRESENT, arrays, masks, unit

SCORE = MaxSimilarity()


def by_hand(x, y, x_mask, y_mask):
    """FILIP's two similarities of every pair, one token at a time."""
    to_y, to_x = np.zeros((len(x), len(y))), np.zeros((len(x), len(y)))
    for i, j in np.ndindex(to_y.shape):
        z = x[i][x_mask[i]] @ y[j][y_mask[j]].T
        if z.size:
            to_y[i, j], to_x[i, j] = z.max(1).mean(), z.max(0).mean()
    return to_y, to_x


def cross_entropy(z, there, candidates):
    """Mean over rows that are there, among the candidates, of -log softmax at the diagonal."""
    losses = []
    for i in np.flatnonzero(there & candidates):
        kept = z[i][candidates]
        losses.append(np.log(np.exp(kept - kept.max()).sum()) + kept.max() - z[i, i])
    return np.mean(losses)


def test_value_is_the_papers():
    values = arrays()
    to_y, to_x = by_hand(*(np.asarray(a, np.float64) for a in (values["x"], values["y"])), *map(np.asarray, masks()))
    x_there, y_there = np.asarray(X_PRESENT), np.asarray(Y_PRESENT)
    expected = (cross_entropy(7 * to_y, x_there, y_there) + cross_entropy(7 * to_x.T, y_there, x_there)) / 2
    got = token_cases.value_and_gradients(SCORE, {})[0]
    np.testing.assert_allclose(got, expected, rtol=2e-6)


def test_two_tokens_by_hand():
    """x = (e1, e2), y = (e1, (e1+e2)/sqrt 2): the greatest products are 1, r and 1, r with r = 1/sqrt 2."""
    r = 2**-0.5
    x = token_rows(jnp.array([[[1.0, 0], [0, 1]]]))
    y = token_rows(jnp.array([[[1.0, 0], [r, r]]]))
    np.testing.assert_allclose(SCORE(x, y, {}), np.full((2, 1, 1), (1 + r) / 2), rtol=1e-6)
    masked = token_rows(x.values["tokens"], jnp.array([[False, True]]))
    np.testing.assert_allclose(np.ravel(SCORE(masked, y, {})), [r, r / 2], rtol=1e-6)


def test_directions_differ_and_one_token_a_side_is_clip():
    to_y, to_x = SCORE(*token_cases.prepared(SCORE, {}), {})
    assert np.abs(to_y - to_x).max() > 0.05
    x, y = unit(0, ROWS, 1, 5), unit(1, ROWS, 1, 5)
    got = token_contrastive(token_rows(x), token_rows(y), 7.0, score=SCORE)
    np.testing.assert_allclose(got, softmax_contrastive(x[:, 0], y[:, 0], 7.0), rtol=1e-6)


@pytest.mark.parametrize("rule", token_cases.OF_EVERY_SCORE)
@pytest.mark.parametrize("score", [SCORE, WeightedMaxSimilarity()])
def test_rules(rule, score):
    rule(score, score.init(jax.random.key(0), token_cases.WIDTH))


def test_lean_forms_equal_dense(monkeypatch):
    token_cases.lean_forms_equal_dense(SCORE, {}, monkeypatch)


def test_equal_ids_share_the_target_and_smoothing_counts_in_lean_forms(monkeypatch):
    monkeypatch.setattr(tokens, "TILE_NUMBERS", 100)

    def loss(x, y, impl):
        ids = jnp.arange(ROWS) % 3
        x, y = token_rows(x, ids=ids), token_rows(y, ids=ids)
        return token_contrastive(x, y, 5.0, score=SCORE, label_smoothing=0.1, impl=impl)

    values = arrays()
    both = [jax.value_and_grad(lambda v, i=i: loss(v["x"], v["y"], i))(values) for i in ("dense", "blockwise")]
    token_cases.assert_equal(both[1], both[0])


def test_memory_of_the_lean_forms(monkeypatch):
    """The dense form holds the products of all tokens of all pairs; tiles hold a fixed number of them."""
    monkeypatch.setattr(tokens, "TILE_NUMBERS", 2**13)
    rows, x_count, y_count = 128, 8, 4
    products = 4 * rows * rows * x_count * y_count

    def compiled(impl, devices):
        with token_cases.on_devices(devices):
            place = NamedSharding(jax.sharding.get_mesh(), P("data"))
            x, y = (jax.ShapeDtypeStruct((rows, n, 8), jnp.float32, sharding=place) for n in (x_count, y_count))
            loss = lambda x, y: token_contrastive(token_rows(x), token_rows(y), 9.0, score=SCORE, impl=impl)  # noqa: E731
            return jax.jit(jax.value_and_grad(loss, (0, 1))).lower(x, y).compile()

    assert compiled("dense", 1).memory_analysis().temp_size_in_bytes >= products
    for impl, devices in (("blockwise", 1), ("ring", 8)):
        assert compiled(impl, devices).memory_analysis().temp_size_in_bytes < products / 8


def test_auto_counts_the_products_of_tokens(caplog):
    caplog.set_level("INFO", "mmjax")
    assert tokens.choose_impl("auto", 1024, 1024, 20) == "dense"
    assert tokens.choose_impl("auto", 1024, 1024, 200 * 77) == "blockwise"
    assert tokens.tile_rows(200 * 77) == 16


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda x: token_rows(x[:, 0]), r"tokens are float32 \(8, 5\): give floating \(batch, tokens, width\)"),
        (lambda x: token_rows(x, jnp.ones((8, 2), bool)), r"mask is bool \(8, 2\): give bool \(8, 3\)"),
        (lambda x: token_rows(x, vector=x[:4, 0]), "has another batch"),
        (lambda x: token_rows(x, present=jnp.ones((7,), bool)), "present"),
        (lambda x: token_contrastive(token_rows(x), token_rows(x[..., :3]), 1.0, score=SCORE), "the same width"),
        (lambda x: token_contrastive(token_rows(x), token_rows(x), 0.0, score=SCORE), "scale is 0.0"),
        (lambda x: token_contrastive(token_rows(x), token_rows(x), 1.0, score=SCORE, impl="rign"), "unknown impl"),
    ],
)
def test_bad_input(mistake, said):
    with pytest.raises(ValueError, match=said):
        mistake(unit(0, 8, 3, 5))


@pytest.mark.slow
def test_a_mesh_and_microbatches_change_nothing():
    check_mesh(config_of("filip", batch_size=16))


def test_a_stream_without_tokens_is_named():
    features = {"image": Features(jnp.ones((2, 3))), "text": Features(jnp.ones((2, 3)), jnp.ones((2, 1, 3)))}
    with pytest.raises(UserError, match="'image' has no tokens"):
        token_sides(("image", "text"), features, {})


@pytest.mark.slow
def test_tokens_tell_apart_what_their_mean_does_not(tmp_path):
    recall = [run("filip", arg, workdir=tmp_path / arg)["val/test/series_to_text_R@1"] for arg in ("", "pooled")]
    assert recall[0] > 2 * recall[1] > 0.1
