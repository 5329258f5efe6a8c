"""FDT: two modalities as sparse mixtures of one codebook."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.evaluation.code_overlap import jaccard
from mmjax.losses.tokens_codebook import Codebook, greatest_products, sparsemax
from tests.papers import token_cases
from tests.papers.running import check_mesh, config_of, run
from tests.papers.token_cases import WIDTH, masks, unit

SCORE = Codebook(codes=7, softness=0.5)


def learned():
    return SCORE.init(jax.random.key(0), WIDTH)


def projected(z):
    """The nearest point of the simplex by trying every support, in float64."""
    best = None
    for size in range(1, len(z) + 1):
        for support in itertools.combinations(range(len(z)), size):
            p = np.zeros(len(z))
            p[list(support)] = z[list(support)] - (z[list(support)].sum() - 1) / size
            if (p >= 0).all() and (best is None or ((p - z) ** 2).sum() < ((best - z) ** 2).sum()):
                best = p
    return best


def test_sparsemax_is_the_projection_on_the_simplex():
    z = np.random.default_rng(0).normal(size=(6, 5))
    got = sparsemax(jnp.asarray(z, jnp.float32))
    np.testing.assert_allclose(got, [projected(row) for row in z], atol=1e-6)
    assert (np.asarray(got) == 0).any()
    np.testing.assert_allclose(np.sum(got, axis=1), 1, rtol=1e-6)


def test_sparsemax_keeps_the_digits_of_large_scores_and_ignores_their_mean():
    z = jnp.array([[0.0, 0.25, -3.0]])
    np.testing.assert_allclose(sparsemax(z + 4096), [[0.375, 0.625, 0]], atol=1e-6)
    np.testing.assert_allclose(sparsemax(jnp.zeros((1, 4))), np.full((1, 4), 0.25))
    np.testing.assert_array_equal(sparsemax(jnp.array([[100.0, 0, 0]])), [[1, 0, 0]])


def test_sparsemax_gradient():
    z, weights = jnp.asarray(np.random.default_rng(1).normal(size=(4, 5)), jnp.float32), unit(2, 4, 5)
    total = lambda z: float(jnp.sum(weights * sparsemax(z)))  # noqa: E731
    gradient = jax.grad(lambda z: jnp.sum(weights * sparsemax(z)))(z)
    for i, j in np.ndindex(z.shape):
        step = jnp.zeros_like(z).at[i, j].set(1e-2)
        assert gradient[i, j] == pytest.approx((total(z + step) - total(z - step)) / 2e-2, abs=2e-3)


def test_greatest_products_a_part_of_the_vectors_at_a_time():
    tokens, mask, vectors = unit(0, 8, 3, WIDTH), masks()[0], unit(1, 1100, WIDTH)
    every = np.where(np.asarray(mask)[:, :, None], np.einsum("ntd,cd->ntc", tokens, vectors), -np.inf)
    np.testing.assert_allclose(greatest_products(tokens, mask, vectors), every.max(1), rtol=1e-5, atol=1e-6)


def test_cosine_of_two_mixtures_is_the_papers():
    params = learned()
    codebook, (x_mask, y_mask) = np.asarray(params["codebook"]), masks()
    mixtures = []
    for tokens, mask in ((token_cases.arrays()["x"][0], x_mask[0]), (token_cases.arrays()["y"][3], y_mask[3])):
        relevance = (np.asarray(tokens)[np.asarray(mask)] @ codebook.T).max(0) / (np.sqrt(WIDTH) * 0.5)
        mixtures.append(projected(relevance) @ codebook)
    expected = mixtures[0] @ mixtures[1] / np.prod([np.linalg.norm(m) for m in mixtures])
    got = SCORE(*token_cases.prepared(SCORE, params), params)[0]
    assert got[0, 3] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("rule", token_cases.OF_EVERY_SCORE)
@pytest.mark.parametrize("score", [SCORE, Codebook(codes=7, softness=0.5, assign="softmax")])
def test_rules(rule, score):
    rule(score, learned())


def test_lean_forms_equal_dense(monkeypatch):
    token_cases.lean_forms_equal_dense(SCORE, learned(), monkeypatch)


def test_softmax_uses_every_code_and_sparsemax_few():
    x, _ = (token_cases.token_rows(unit(0, 8, 3, WIDTH)), None)
    sparse, dense = (Codebook(7, 0.2, how).shares(x, learned()) for how in ("sparsemax", "softmax"))
    assert np.mean(np.asarray(sparse) > 0) < 0.7 and (np.asarray(dense) > 0).all()


def test_jaccard_by_hand():
    x = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
    y = np.array([[1, 0, 1, 0], [1, 0, 0, 0]], bool)
    np.testing.assert_allclose(jaccard(x, y), [1 / 3, 1])


def test_bad_input():
    with pytest.raises(ValueError, match="assign is sparsemax or softmax, codes and softness are above 0"):
        Codebook(assign="hard")


@pytest.mark.slow
def test_a_mesh_and_microbatches_change_nothing():
    check_mesh(config_of("fdt", batch_size=16, **{"objectives.fdt.codes": 16}))


@pytest.mark.slow
def test_matching_samples_share_codes(tmp_path):
    metrics = run("fdt", workdir=tmp_path)
    assert metrics["val/codes/matched_overlap"] > 1.3 * metrics["val/codes/other_overlap"]
    assert metrics["val/codes/codes_in_use"] < 0.3
