"""MCL: the source of two factors, groups of a stage, what becomes of small ones, and the claim."""

import numpy as np
import pytest

from mmjax.data.sources import open_source
from mmjax.errors import UserError
from mmjax.experiments.cluster import cluster_run, merged
from tests.papers.running import config_of, run

SMALL = {
    "duration": "4 steps",
    "schedule.warmup": "1 steps",
    "data.source": "factors:train,strengths=2/0.7,noise=0.5,count=256",
    "batch_size": 16,
}


def test_the_source_holds_the_sum_of_its_factors_and_a_turned_view():
    source = open_source("factors:train,values=3/4,strengths=2/0.7,width=6,noise=0")
    vectors, turn = source._world
    sample = source[5]
    values = [sample["json"]["factor_1"], sample["json"]["factor_2"]]
    clean = vectors[0][values[0]] + vectors[1][values[1]]
    np.testing.assert_allclose(sample["vector"], clean, rtol=1e-5)
    np.testing.assert_allclose(sample["vector_2"], clean @ turn, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(turn @ turn.T, np.eye(6), atol=1e-9)
    assert np.std(vectors[0]) > 2 * np.std(vectors[1])
    drawn = [source[i]["json"]["factor_2"] for i in range(400)]
    assert set(drawn) == {0, 1, 2, 3} and np.bincount(drawn).min() > 70
    np.testing.assert_array_equal(source[5]["vector"], sample["vector"])


def test_views_have_noise_of_their_own_and_splits_samples_of_their_own():
    train, test = (open_source(f"factors:{split},width=6,noise=0.5") for split in ("train", "test"))
    vectors, turn = train._world
    errors = []
    for sample in (train[i] for i in range(300)):
        clean = sum(v[sample["json"][f"factor_{n}"]] for n, v in enumerate(vectors, 1))
        errors.append((sample["vector"] - clean, sample["vector_2"] @ turn.T - clean))
    errors = np.array(errors)
    np.testing.assert_allclose(errors.std(), 0.5, rtol=0.05)
    assert abs(np.corrcoef(errors[:, 0].ravel(), errors[:, 1].ravel())[0, 1]) < 0.1
    assert not np.array_equal(train[0]["vector"], test[0]["vector"])
    np.testing.assert_array_equal(train._world[0][0], test._world[0][0])


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("factors:train,values=3/4,strengths=1", "1 strengths for 2 factors"),
        ("factors:other", "no split 'other'"),
        ("factors:train,loudness=2", "no setting 'loudness'"),
        ("factors:train,values=0/2", "values=0 is no number"),
    ],
)
def test_settings_that_cannot_be(spec, said):
    with pytest.raises(UserError, match=said):
        open_source(spec)


def test_small_groups_go_to_the_nearest_large_one():
    x = np.array([[0, 0], [0, 1], [0, 0.5], [9, 9], [9, 8], [9, 8.5], [1, 0], [8, 9]], np.float32)
    labels = np.array([4, 4, 4, 7, 7, 7, 2, 5])
    np.testing.assert_array_equal(merged(x, labels, 3), [0, 0, 0, 1, 1, 1, 0, 1])
    np.testing.assert_array_equal(merged(x, labels, 1), [1, 1, 1, 3, 3, 3, 0, 2])
    with pytest.raises(UserError, match="the largest of 4 groups has 3 samples, fewer than 4"):
        merged(x, labels, 4)


def test_a_further_stage_lies_within_the_groups_of_the_one_before(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    run("mcl", workdir=first, **SMALL)
    told = cluster_run(str(first), stream="vector", clusters=3, least=16, out=str(first / "groups.npy"))
    one = np.load(first / "groups.npy")
    assert (told["samples"], told["groups"]) == (256, len(set(one)))
    assert one.shape == (256,) and np.bincount(one).min() == told["smallest"] >= 16
    metrics = run("mcl", f"stage_1,before={first}", workdir=second, **SMALL)
    assert {"val/stages_factor_1/acc1", "val/vector_factor_2/acc1"} <= metrics.keys()
    cluster_run(str(second), stream="vector", clusters=2, least=1, out=str(second / "groups.npy"))
    two = np.load(second / "groups.npy")
    assert all(len(set(one[two == g])) == 1 for g in set(two)) and len(set(two)) > len(set(one))
    with pytest.raises(UserError, match="the largest of"):
        cluster_run(str(first), stream="vector", clusters=3, least=200, out=str(tmp_path / "none.npy"))


def test_stages_need_their_first_one():
    for arg in ("stage_1", "stage_0,before=x", "stage_2", "stage_1,after=x"):
        with pytest.raises(ValueError, match="unknown argument"):
            config_of("mcl", arg)


@pytest.mark.slow
def test_the_second_stage_learns_what_the_first_left_out(tmp_path):
    """Accuracy of linear probes, chance 0.1."""
    first = tmp_path / "first"
    probes = run("mcl", workdir=first)
    cluster_run(str(first), stream="vector", clusters=10, least=64, out=str(first / "groups.npy"))
    stages = run("mcl", f"stage_1,before={first}", workdir=tmp_path / "second")
    control = run("mcl", f"control,before={first}", workdir=tmp_path / "control")
    assert probes["val/vector_factor_1/acc1"] > 0.9 and probes["val/vector_factor_2/acc1"] < 0.4
    assert stages["val/stages_factor_1/acc1"] > 0.9 and stages["val/stages_factor_2/acc1"] > 0.85
    assert control["val/stages_factor_2/acc1"] < 0.7
