"""The shape of embeddings against plain numpy, its limits, on a mesh, and as an evaluation."""

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embedded
from mmjax.evaluation.geometry import Geometry, anisotropy, effective_rank, geometry, separability, share_before


def unit(x):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def pairs(rows=40, apart=0.0, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, 6))
    return unit(z + 0.3 * rng.normal(size=z.shape) - apart), unit(z + 0.3 * rng.normal(size=z.shape) + apart)


def test_effective_rank_is_the_exponential_entropy_of_singular_values():
    x, _ = pairs()
    values = np.linalg.svd(x.astype(np.float64), compute_uv=False)
    p = values / values.sum()
    for rows in (x, x.T):
        assert effective_rank(rows) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-5)
    assert effective_rank(np.eye(5)) == pytest.approx(5)
    assert effective_rank(np.ones((4, 1)) * x[:1]) == pytest.approx(1, abs=1e-3)


def test_anisotropy_is_the_mean_cosine_of_others():
    x, _ = pairs()
    cosine = x @ x.T
    assert anisotropy(x) == pytest.approx(cosine[~np.eye(40, dtype=bool)].mean(), abs=1e-6)
    assert anisotropy(np.repeat(x[:1], 3, axis=0)) == pytest.approx(1)


def test_separability_of_modalities_apart_and_together():
    assert separability(*pairs(200, apart=4.0)) == 1.0
    assert separability(*pairs(400)) == pytest.approx(0.5, abs=0.12)  # 160 draws: three deviations


@pytest.mark.parametrize("devices", [1, 8])
def test_shares_before_the_partner(devices):
    x, y = pairs(apart=0.5)
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    own = (x * y).sum(1)
    for gallery in (x, y):
        cosine = x @ gallery.T
        np.fill_diagonal(cosine, -1)
        expected = (cosine > own[:, None]).sum(1).mean() / 39
        assert share_before(x, y, gallery, block=16, mesh=mesh) == pytest.approx(expected)


def test_rows_equal_to_the_partner_are_not_nearer():
    x, y = pairs(64)
    assert share_before(x, np.repeat(y[:1], 64, axis=0), np.repeat(y[:1], 64, axis=0)) == 0.0
    captions = y[np.arange(64) // 8]  # every eight records have one caption
    cosine = (x.astype(np.float64) @ captions.T)[:, ::8]
    before = 8 * (cosine > cosine[np.arange(64), np.arange(64) // 8][:, None]).sum(1)
    assert share_before(x, captions, captions, block=16) == pytest.approx(before.mean() / 63)


def test_all_metrics_of_modalities_apart():
    together, apart = (geometry(*pairs(60, apart=a)) for a in (0.0, 3.0))
    assert (
        set(together) == set(apart) >= {"modality_gap", "separability", "text_effective_rank", "image_to_text_hubness"}
    )
    assert apart["modality_gap"] > together["modality_gap"]
    assert apart["image_intra_before"] > 0.3 > together["image_intra_before"]
    assert all(type(value) is float for value in apart.values())


class Embeddings:
    mesh = None

    def rows(self, spec, stream, **_):
        x, y = pairs(60, apart=4.0)
        return Embedded(x if stream == "image" else y, np.arange(60), [])


def test_an_evaluation():
    result = Geometry("source")(Embeddings())
    assert result.metrics["separability"] == 1.0 and result.chance == {"separability": 0.5}


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: separability(np.eye(9), np.eye(9)), "separability of 9 and 9"),
        (lambda: anisotropy(np.eye(3)[:1]), "anisotropy of one"),
        (lambda: geometry(np.eye(12), np.eye(12)[:, :5]), "12 wide"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()
