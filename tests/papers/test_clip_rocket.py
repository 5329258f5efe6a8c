"""CLIP-Rocket's five: each term written out, bounded memory, projectors, meshes, and the paper's configs."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.losses import sinkhorn, softmax_contrastive, swapped_matching, vicreg
from mmjax.objectives import OBJECTIVES, WeightedObjectives
from tests.losses.properties import assert_close, normal_rows, unit_rows, waves
from tests.papers.running import check_mesh, config_of, first_steps, module, run

NAMES = ("image_2", "image_3", "text_2", "text_3")
LOCAL = tuple(itertools.product(NAMES[:2], NAMES[2:]))


def views(make=unit_rows):
    return {name: jnp.float32(make(seed)) for seed, name in enumerate(NAMES)}


def evaluated(kind, rows, batch=None, **options):
    """(loss, parameters) of a new objective."""
    objective, features = OBJECTIVES[kind](**options), {k: Features(pooled=v) for k, v in rows.items()}
    params = objective.init(jax.random.key(0), features, batch or {}, train=True)
    return objective.apply(params, features, batch or {}, train=True)[0], params.get("params", {})


def swapped_reference(x, y, x_other, y_other, scale, epsilon=0.05):
    """Both directions by the library's Sinkhorn, which is tested by itself, and a softmax in float64."""
    total = 0.0
    for a, b, a_other, b_other in ((x, y, x_other, y_other), (y, x, y_other, x_other)):
        z = scale * np.asarray(a, np.float64) @ np.asarray(b, np.float64).T
        log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
        q = np.asarray(sinkhorn(a_other @ b_other.T, epsilon=epsilon, iterations=3))
        total -= np.mean(np.sum(q * log_p, 1)) / 2
    return total


def test_swapped_matching_written_out():
    rows = list(views().values())
    rows = [rows[0], rows[2], rows[1], rows[3]]
    assert swapped_matching(*rows, 9.0) == pytest.approx(swapped_reference(*rows, 9.0), rel=1e-5)


def test_swapped_matching_of_some_samples_is_that_of_a_smaller_batch():
    x, x_other, y, y_other = views().values()
    present = jnp.array([1, 1, 0, 1, 1, 0, 1, 1], bool)
    dirty = jnp.where(present[:, None], y, jnp.nan)

    def loss(x, y, present):
        return swapped_matching(x, y, x_other[: len(x)], y_other[: len(x)], 9.0, present=present)

    there = np.flatnonzero(present)
    expected = swapped_matching(x[there], y[there], x_other[there], y_other[there], 9.0)
    of = jax.jit(jax.value_and_grad(loss))
    value, gradient = of(x, dirty, present)
    assert value == pytest.approx(float(expected), rel=1e-5)
    assert np.isfinite(gradient).all() and not gradient[2].any() and not gradient[5].any()
    nothing, gradient = of(x, y, jnp.zeros(8, bool))
    assert nothing == 0 and not gradient.any()


def test_swapped_matching_blockwise_is_dense():
    """300 rows are more than a tile; targets give no gradient in either form."""
    rows = [jnp.float32(unit_rows(seed, (300, 3))) for seed in range(4)]

    def of(impl):
        of = jax.value_and_grad(lambda *r: swapped_matching(*r, impl=impl), range(5))
        return jax.jit(of)(*rows, jnp.float32(9.0))

    blockwise, dense = of("blockwise"), of("dense")
    for got, expected in zip(*map(jax.tree.leaves, (blockwise, dense)), strict=True):
        assert_close(got, expected)
    assert not any(g.any() for g in (*dense[1][2:4], *blockwise[1][2:4]))


def test_cross_views_is_the_mean_over_pairs_at_one_temperature():
    rows = views()
    loss, params = evaluated("cross_views", rows, pairs=LOCAL, temperature=0.2, label_smoothing=0.1)
    each = [softmax_contrastive(rows[a], rows[b], 5.0, label_smoothing=0.1) for a, b in LOCAL]
    assert loss == pytest.approx(np.mean(each), rel=1e-5) and list(params) == ["logit_scale"]


def test_every_kind_with_parameters_says_what_holds_of_them_after_a_step():
    options = {"pairs": LOCAL, "hidden": 4, "depth": 1, "width": 3}
    parts = tuple((kind, kind, tuple(options.items())) for kind in ("cross_views", "redundancy"))
    objective = WeightedObjectives(parts)
    features = {k: Features(pooled=v) for k, v in views().items()}
    params = objective.init(jax.random.key(0), features, {}, train=True)["params"]
    changed = objective.after_update(jax.tree.map(lambda p: p + 99.0, params))
    assert changed["cross_views"]["logit_scale"] == pytest.approx(np.log(100.0))
    np.testing.assert_array_equal(
        changed["redundancy"]["projector_x"]["out"]["bias"], params["redundancy"]["projector_x"]["out"]["bias"] + 99.0
    )


def test_projectors_are_one_for_each_modality():
    _, params = evaluated("cross_views", views(), pairs=LOCAL, hidden=6, depth=1, width=3)
    assert set(params) == {"logit_scale", "projector_x", "projector_y"}
    assert params["projector_x"]["out"]["kernel"].shape == (6, 3)


def test_redundancy_is_zero_where_dimensions_agree_and_do_not_repeat():
    """Barlow's cross-correlation is the identity for whitened rows against themselves; else (1 - c)^2 + w c^2."""
    rows = normal_rows(0, (64, 4))
    white = np.linalg.svd(rows - rows.mean(0), full_matrices=False)[0] * 8
    same = {"image": jnp.float32(white), "text": jnp.float32(white)}
    loss, _ = evaluated("redundancy", same, pairs=(("image", "text"),), hidden=0)
    assert loss == pytest.approx(0, abs=1e-6)
    turned = {"image": same["image"], "text": same["text"][:, ::-1]}
    loss, _ = evaluated("redundancy", turned, pairs=(("image", "text"),), hidden=0, redundancy=0.5)
    assert loss == pytest.approx(4 + 0.5 * 4, rel=1e-4)


def test_redundancy_by_vicreg():
    x, y = waves()
    options = {"pairs": (("image", "text"),), "hidden": 0, "form": "vicreg", "terms": (3.0, 2.0, 0.5)}
    there = jnp.arange(6) != 4
    loss, params = evaluated("redundancy", {"image": x, "text": y}, {"text_present": there}, **options)
    kept = np.flatnonzero(there)
    expected = vicreg(x[kept], y[kept], invariance=3.0, variance=2.0, covariance=0.5)
    assert loss == pytest.approx(float(expected), rel=1e-5) and not params
    with pytest.raises(ValueError, match="unknown form 'vicregg': barlow_twins or vicreg"):
        evaluated("redundancy", {"image": x, "text": y}, **options | {"form": "vicregg"})
    with pytest.raises(ValueError, match="covariance is -1"):
        evaluated("redundancy", {"image": x, "text": y}, **options | {"terms": (1.0, 1.0, -1.0)})


def test_both_directions_of_prediction_are_simsiam():
    """SimSiam's criterion, made once in float64 torch: -1/2 (cos(p_x, z_y) + cos(p_y, z_x)); targets stay fixed."""
    x, y = waves()
    rows = {"image_prediction": x, "text_prediction": y, "image": x[::-1], "text": y[:, ::-1]}
    pairs = (("image_prediction", "text"), ("text_prediction", "image"))
    of = jax.value_and_grad(lambda rows: evaluated("prediction", rows, pairs=pairs)[0])
    loss, gradients = of(rows)
    assert loss == pytest.approx(2 + 2 * 0.23849630600382615, rel=2e-6)
    assert {name for name, g in gradients.items() if g.any()} == {"image_prediction", "text_prediction"}


def test_predictions_of_targets_without_gradient():
    rows = views(normal_rows)
    pairs = (("image_2", "text_2"), ("text_3", "image_3"))

    def loss(rows):
        return evaluated("prediction", rows, pairs=pairs)[0]

    value, gradients = jax.value_and_grad(loss)(rows)
    unit = {k: v / np.linalg.norm(v, axis=1, keepdims=True) for k, v in rows.items()}
    expected = np.mean([np.mean(2 - 2 * np.sum(unit[p] * unit[t], 1)) for p, t in pairs])
    assert value == pytest.approx(expected, rel=1e-5)
    assert {k for k, g in gradients.items() if g.any()} == {"image_2", "text_3"}


def test_a_sample_counts_where_all_its_views_are_there():
    rows, there = views(), np.array([1, 1, 1, 0, 1, 0, 1, 1], bool)
    batch = {"image_2_present": jnp.asarray(there)}
    few = {k: v[there] for k, v in rows.items()}
    for kind, pairs in (("prediction", LOCAL[:1]), ("swapped_matching", (("image_2", "text_2", "image_3", "text_3"),))):
        got = evaluated(kind, rows, batch, pairs=pairs)[0]
        assert got == pytest.approx(float(evaluated(kind, few, pairs=pairs)[0]), rel=1e-5)


@pytest.mark.parametrize(("pairs", "said"), [((), "pairs is empty"), ((("image", "text_2"),), "no stream 'image'")])
def test_pairs_that_cannot_be(pairs, said):
    objective = WeightedObjectives((("strong", "cross_views", (("pairs", pairs),)),))
    features = {k: Features(pooled=v) for k, v in views().items()}
    with pytest.raises(UserError, match=said):
        objective.init(jax.random.key(0), features, {}, train=True)


def test_every_arm_of_the_config_has_its_terms():
    parts = {
        arg: set(config_of("clip_rocket", arg).objectives) for arg in ("clip,plain", *module("clip_rocket").METHODS)
    }
    assert parts["clip,plain"] == {"weak"} and parts["clip"] == {"weak", "strong"}
    assert parts["siamlip"] == parts["byolip"] == {"weak", "strong", "prediction"}
    assert parts["barlip"] - parts["clip"] == {"barlip"} and parts["swalip"] - parts["clip"] == {"swalip"}
    weak = (("image_prediction", "ema/text_projection"), ("text_prediction", "ema/image_projection"))
    assert config_of("clip_rocket", "byolip,plain").objectives.prediction.pairs == weak
    pairs = config_of("clip_rocket", "byolip").objectives.prediction.pairs
    assert pairs[:2] == weak and pairs[-1] == ("text_3_prediction", "ema/image_3_projection") and len(pairs) == 10
    with pytest.raises(ValueError, match="unknown argument 'swalip,plain'"):
        config_of("clip_rocket", "swalip,plain")


def small(method):
    """Two dimensions of the real recipe's parts that matter here: every term and view, few parameters."""
    config = config_of("clip_rocket", method, batch_size=16, embed_dim=8)
    config.towers.image.width, config.towers.text.width = 8, 8
    for entry in (*config.objectives.values(), *config.heads.values()):
        if "hidden" in entry:
            entry.hidden = 8
    return config


@pytest.mark.slow
@pytest.mark.parametrize("method", ["swalip", "byolip"])
def test_meshes_and_micro_batches(method):
    check_mesh(small(method), steps=1)


def test_a_modality_has_one_projector_and_one_predictor_for_all_its_views():
    _, params, _ = first_steps(small("siamlip"), 1, 1)
    heads = {path.split("/")[1] for path in params if path.startswith("model/") and "_head" in path}
    assert heads == {f"{m}_{kind}_head" for m in ("image", "text") for kind in ("projection", "prediction")}


@pytest.mark.slow
@pytest.mark.claim
@pytest.mark.parametrize("method", ["barlip", "siamlip", "byolip", "swalip"])
def test_every_method_learns(method, tmp_path):
    """R@10 for known concepts in an unseen style is 2.7 % by chance."""
    assert run("clip_rocket", method, workdir=tmp_path)["val/style/image_to_text_R@10"] > 0.3
