"""The latent source: its law, its splits, its fields, and what it refuses."""

import numpy as np
import pytest
from shards import settings

from mmjax.data.pipeline import TrainPipeline
from mmjax.data.sources import open_source
from mmjax.errors import UserError


def stacked(spec, stream="vector"):
    source = open_source(spec)
    return np.stack([source[i][stream] for i in range(len(source))]).astype(np.float64)


def test_streams_share_the_latent_and_nothing_else():
    """Without noise a linear stream has the rank of the latent, and one stream is a linear function of the other."""
    x, y = (stacked("latent:count=200,shared=5,widths=9/7,noise=0,map=linear", s) for s in ("vector", "vector_2"))
    assert np.linalg.matrix_rank(x, tol=1e-4) == np.linalg.matrix_rank(np.hstack([x, y]), tol=1e-4) == 5
    assert np.var(x) == pytest.approx(1, rel=0.5)


def test_noise_is_as_large_as_told():
    spec = "latent:count=400,shared=4,widths=4/4,map=same,noise={}"
    clean, noisy = stacked(spec.format(0)), stacked(spec.format("0.5/0.1"))
    second = stacked(spec.format("0.5/0.1"), "vector_2")
    assert np.std(noisy - clean) == pytest.approx(0.5, rel=0.1) and np.std(second - clean) == pytest.approx(
        0.1, rel=0.1
    )
    assert abs(np.mean(clean)) < 0.1 and np.std(clean) == pytest.approx(1, rel=0.1)


def test_splits_have_the_same_classes_and_samples_of_their_own():
    spec = "latent:{},count=300,shared=8,widths=8,map=same,noise=0,classes=3,spread=5,sigma=0.1"
    centres = []
    for split in ("train", "test"):
        source = open_source(spec.format(split))
        x, cls = stacked(spec.format(split)), np.array([source[i]["json"]["cls"] for i in range(300)])
        assert set(cls) == {0, 1, 2}
        centres.append(np.stack([x[cls == k].mean(0) for k in range(3)]))
    np.testing.assert_allclose(*centres, atol=0.1)
    assert not np.isin(stacked(spec.format("train"))[:, 0], stacked(spec.format("test"))[:, 0]).any()


def test_a_shift_moves_every_latent_alike():
    spec = "latent:count=20,shared=6,widths=6,map=same,noise=0,shift={}"
    moved = stacked(spec.format(2)) - stacked(spec.format(0))
    np.testing.assert_allclose(moved, np.repeat(moved[:1], 20, axis=0), atol=1e-6)
    assert np.linalg.norm(moved[0]) == pytest.approx(2, rel=1e-6)


def test_batches():
    batch = TrainPipeline(settings("latent:count=32,widths=3/5", "emoji"), ("vector", "vector_2"), 0, 8).batch(0)
    source = open_source("latent:count=32,widths=3/5")
    for row, number in enumerate(batch["id"]):
        np.testing.assert_array_equal(batch["vector_2"][row], source[int(number)]["vector_2"])


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("latent:wiggle=3", "no setting 'wiggle'"),
        ("latent:tets", "no split 'tets'"),
        ("latent:noise=-1", "noise=-1 is no number"),
        ("latent:widths=4/x", "widths=x is no number"),
        ("latent:noise=1/2/3", "3 noises for 2 widths"),
        ("latent:map=same,shared=4,widths=5", "as wide as the latent"),
    ],
)
def test_what_cannot_be(spec, said):
    with pytest.raises(UserError, match=said):
        open_source(spec)
