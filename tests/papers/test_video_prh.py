"""Mutual k-NN, CKA and CKNNA against dense numpy, their limits, the growth with frames and captions, the fit."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh
from running import config_of, run

from mmjax.config import validate
from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embedded
from mmjax.evaluation.kinds import build_evaluations
from mmjax.evaluation.platonic import cka, cknna, mutual_knn
from mmjax.evaluation.saturation import Platonic, fit_saturation


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def sides(rows=60, noise=0.7, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, 6))
    return [unit(z @ rng.normal(size=(6, w)) + noise * rng.normal(size=(rows, w))) for w in (9, 5)]


def nearest(x, k):
    cosine = x @ x.T
    np.fill_diagonal(cosine, -np.inf)
    return np.argsort(-cosine, axis=1)[:, :k]


def mask(x, k):
    chosen = np.zeros((len(x), len(x)), bool)
    np.put_along_axis(chosen, nearest(x, k), True, axis=1)
    return chosen


def song(a, b):
    """The unbiased HSIC of Song et al. 2012, equation 5, by whole matrices."""
    n, a, b = len(a), a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
    ones = np.ones(n)
    trace = np.trace(a @ b)
    return (
        trace + (ones @ a @ ones) * (ones @ b @ ones) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (ones @ a @ b @ ones)
    ) / (n * (n - 3))


def centred(a, b):
    h = np.eye(len(a)) - 1 / len(a)
    return np.trace(a @ h @ b @ h)


@pytest.mark.parametrize("devices", [1, 8])
def test_mutual_knn_is_the_share_of_common_neighbours(devices):
    x, y = sides()
    common = [len(set(a) & set(b)) / 7 for a, b in zip(nearest(x, 7).tolist(), nearest(y, 7).tolist(), strict=True)]
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    assert mutual_knn(3 * x, y, k=7, block=16, mesh=mesh) == pytest.approx(np.mean(common))


@pytest.mark.parametrize(("unbiased", "hsic"), [(False, centred), (True, song)])
def test_cka_equals_the_form_with_kernels(unbiased, hsic):
    x, y = sides()
    kernels = x @ x.T, y @ y.T
    expected = hsic(*kernels) / np.sqrt(hsic(kernels[0], kernels[0]) * hsic(kernels[1], kernels[1]))
    assert cka(x, y, unbiased=unbiased) == pytest.approx(expected, rel=1e-5)
    assert cka(2 * x, y, unbiased=unbiased) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("k", [2, 10])
def test_cknna_equals_the_form_with_masks(k):
    x, y = sides()
    a, b, both = mask(x, k), mask(y, k), mask(x, k) & mask(y, k)
    kernels = x @ x.T, y @ y.T
    own = song(a * kernels[0], a * kernels[0]) * song(b * kernels[1], b * kernels[1])
    expected = song(both * kernels[0], both * kernels[1]) / np.sqrt(own)
    assert cknna(x, y, k=k, block=16) == pytest.approx(expected, rel=1e-5)


def test_a_rotation_is_the_same_representation():
    x, _ = sides()
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(9, 9)))[0]
    for score in (mutual_knn, cka, cknna):
        assert score(x, x @ rotation) == pytest.approx(1.0)
    assert cka(x, x @ rotation, unbiased=True) == pytest.approx(1.0)


def test_independent_representations_share_neighbours_by_chance():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 500, 16))
    deviation = np.sqrt(10 / 499 / 10 / 500)  # of a mean of 500 shares of about 10 / 499
    assert mutual_knn(x, y) == pytest.approx(10 / 499, abs=4 * deviation)
    assert abs(cka(x, y, unbiased=True)) < 0.02 < cka(x, y)


def test_equal_rows_are_not_their_own_neighbours():
    assert mutual_knn(np.ones((5, 2)), np.ones((5, 2)), k=2) == 1.0


def growth(frames, captions, seed=0, rows=512):
    """Shared z, seen through tanh of two maps with noise of .5, averaged over frames and captions."""
    rng = np.random.default_rng(seed)
    z, maps = rng.normal(size=(rows, 32)), rng.normal(size=(2, 32, 64))
    counts = max(frames), max(captions)
    seen = [
        np.tanh(z @ m / 6)[:, None] + 0.5 * rng.normal(size=(rows, n, 64)) for m, n in zip(maps, counts, strict=True)
    ]
    return {(n, m): mutual_knn(seen[0][:, :n].mean(1), seen[1][:, :m].mean(1)) for n in frames for m in captions}


def test_alignment_grows_with_frames_and_captions_and_saturates():
    scores = growth((1, 2, 4, 8, 16, 32), (1, 2, 4, 8))
    assert scores[1, 1] < scores[32, 1] < scores[32, 8] and scores[1, 1] < scores[1, 8] < scores[32, 8]
    assert scores[32, 8] > 1.6 * scores[1, 1]
    fit = fit_saturation(*np.array(list(scores)).T, list(scores.values()))
    assert fit.r2 > 0.97 and scores[32, 8] < fit.limit < 0.5


def test_the_fit_finds_the_law_it_was_given():
    views, texts = (a.ravel() for a in np.meshgrid([1, 2, 4, 8], [1, 3, 9]))
    law = 0.42 - (0.1 * views**-0.8 + 0.13 * texts**-0.6)
    fit = fit_saturation(views, texts, law)
    assert fit == pytest.approx((0.42, 0.1, 0.8, 0.13, 0.6, 1.0), rel=1e-3)


class Embeddings:
    """Three pictures a record (but two of record 0) and captions by language, all noisy forms of one vector."""

    mesh = None

    def rows(self, spec, stream, *, captions="", language=""):
        rng = np.random.default_rng([len(stream), len(captions), len(language)])
        base = np.random.default_rng(7).normal(size=(80, 8))
        records = np.repeat(np.arange(80), 3)[1:] if stream == "image" else np.arange(80)
        vectors = unit(base[records] + 0.7 * rng.normal(size=(len(records), 8)))
        return Embedded(vectors.astype(np.float32), records, [])


def test_an_evaluation_over_pictures_and_captions():
    metrics, chance = Platonic("source", views=3, captions=("{a}", "{bb}"), languages=("en",), k=5)(Embeddings())
    assert metrics["mutual_knn_1x1"] < metrics["mutual_knn_3x2"] and chance["mutual_knn_1x1"] == 5 / 78
    assert {"mutual_knn_2x1", "cka", "cknna", "limit", "fit_r2"} <= set(metrics)
    assert "limit" not in Platonic("source", views=2)(Embeddings()).metrics


X = np.eye(6)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: mutual_knn(X, X[:5]), "6 rows and 5"),
        (lambda: mutual_knn(X, X, k=6), "the 6 nearest others of 6 first rows"),
        (lambda: mutual_knn(X, 0 * X, k=2), "length zero"),
        (lambda: cka(X[:1], X[:1]), "CKA of 1 things"),
        (lambda: cka(X, np.ones((6, 2))), "does not tell its things apart"),
        (lambda: cknna(X, X, k=1), "k = 1"),
        (lambda: fit_saturation([1, 2], [1, 1], [0.1, 0.2]), "no fit of 5 parameters to these 2 scores"),
        (lambda: Platonic("source", views=4)(Embeddings()), "0 records have 4 of 'image'"),
        (lambda: Platonic("source", captions=()), "nothing to average"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()


@pytest.mark.parametrize("arg", ["", "untrained", "together", "full"])
def test_every_arm_is_a_config(arg):
    config = config_of("video_prh", arg)
    validate(config)
    assert build_evaluations(config) or arg == "full"


@pytest.mark.slow
def test_the_config_claims(tmp_path):
    """Seeds 0 to 2: .109 to .114 of one picture and caption, .133 to .137 of three and six, R^2 .95 to .98."""
    metrics = run("video_prh", workdir=tmp_path)
    one, all_of = metrics["val/alignment/mutual_knn_1x1"], metrics["val/alignment/mutual_knn_3x6"]
    assert 0.06 < one < all_of - 0.01 and metrics["val/alignment/fit_r2"] > 0.9
