"""SLAP: the prediction terms against numpy, exact micro-batches, and that both kinds of terms are needed."""

import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.objectives import Prediction
from tests.papers.running import check_mesh, config_of, module, run

NAMES = ("vector_prediction", "vector_2_prediction")


def small(arg="slap"):
    config = config_of("slap", arg, batch_size=16)
    config["data"]["source"] = "latent:train,shared=4,widths=6/5,count=64"
    for stream in ("vector", "vector_2"):
        config.towers[stream].hidden = 8
        config.heads[f"{stream}_prediction"].hidden = 8
    config.embed_dim = 8
    return config


def unit(rng, *shape):
    x = rng.normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def test_terms_are_those_of_the_paper():
    """lambda 1/2 [d(q_a, z_t) + d(q_t, z_a)] + (1 - lambda) 1/2 [d(q_a, z_a) + d(q_t, z_t)], d = 2 - 2 cos."""
    rng = np.random.default_rng(0)
    q_a, q_t, z_a, z_t = (unit(rng, 5, 4) for _ in range(4))
    names = (*NAMES, "ema/vector", "ema/vector_2")
    features = {name: Features(x) for name, x in zip(names, (q_a, q_t, z_a, z_t), strict=True)}

    def d(q, z):
        return np.mean(2 - 2 * np.sum(q * z, axis=1))

    config = module("slap").get_config("slap")
    total = 0
    for entry in config.objectives.values():
        loss, _ = Prediction(pairs=entry.pairs, weight=entry.weight).apply({}, features, {}, train=True)
        total += entry.weight * loss
    want = 0.5 * (d(q_a, z_t) + d(q_t, z_a)) / 2 + 0.5 * (d(q_a, z_a) + d(q_t, z_t)) / 2
    np.testing.assert_allclose(total, want, rtol=1e-6)


def test_one_kind_of_term_alone():
    """Weights 1 and 0: the arms of the ablation differ in nothing else."""
    weights = {
        arm: [small(arm).objectives[part].weight for part in ("across", "within")] for arm in ("across", "within")
    }
    assert weights == {"across": [1.0, 0.0], "within": [0.0, 1.0]}


@pytest.mark.slow
def test_meshes_and_micro_batches():
    """A mean over samples: any split of the batch gives the same step."""
    check_mesh(small())


def test_unknown_arm():
    with pytest.raises(ValueError, match="unknown argument"):
        module("slap").get_config("byol")


@pytest.mark.slow
def test_both_kinds_of_terms_are_needed(tmp_path):
    """Predictions retrieve at batch 16 with both, not with either alone; projections do not retrieve."""
    found = {arm: run("slap", arm, workdir=tmp_path / arm) for arm in ("slap", "across", "within")}
    key = f"val/predictions/{NAMES[0]}_to_{NAMES[1]}_R@1"
    assert found["slap"][key] > 0.85
    assert max(found[arm][key] for arm in ("across", "within")) < 0.05
    assert found["slap"]["val/projections/vector_to_vector_2_R@1"] < 0.2
