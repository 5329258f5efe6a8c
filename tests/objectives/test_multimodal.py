"""Objectives of many streams: learned scales, missing samples, shuffles that depend on seed and step alone."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import config as config_lib
from mmjax import losses
from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.objectives import OBJECTIVES, WeightedObjectives
from mmjax.rng import step_key
from mmjax.training.experiment import build_experiment
from tests.losses.many_modalities import float32, unit_vectors

STREAMS = ("image", "text", "audio")
KINDS = ("symile", "gram", "pairwise", "multiview")


def features_of(seed=0, rows=6, width=5):
    vectors = float32(unit_vectors(seed, len(STREAMS), rows, width))
    return {s: Features(pooled=v, tokens=None, mask=None) for s, v in zip(STREAMS, vectors, strict=True)}


def vectors_of(features):
    return [features[s].pooled for s in STREAMS]


def initialised(objective, features, batch):
    return objective.init(jax.random.key(0), features, batch, train=True)["params"]


def run(objective, params, features, batch, key):
    """(loss, metrics), jitted."""
    apply = functools.partial(objective.apply, train=True)
    return jax.jit(lambda p, f, k: apply({"params": p}, f, batch, rngs={"objective": k}))(params, features, key)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("symile", {"negatives": "n_squared"}, lambda v, s: losses.symile(v, s, negatives="n_squared")),
        ("gram", {}, lambda v, s: losses.gram_contrastive(v[0], v[1:], s, label_smoothing=0.1)),
        ("multiview", {}, losses.mv_infonce),
        ("multiview", {"form": "mv_dhel", "impl": "blockwise", "block": 4}, losses.mv_dhel),
    ],
)
def test_the_loss_of_the_pooled_vectors_at_the_learned_scale(kind, options, expected):
    features, objective = features_of(), OBJECTIVES[kind](streams=STREAMS, temperature=0.2, **options)
    params = initialised(objective, features, {})
    assert params["logit_scale"] == pytest.approx(math.log(5))
    loss, metrics = run(objective, params, features, {}, jax.random.key(1))
    np.testing.assert_allclose(loss, expected(vectors_of(features), jnp.float32(5.0)), rtol=1e-5)
    assert metrics["contrastive_loss"] == loss and metrics["logit_scale"] == pytest.approx(5.0)


@pytest.mark.parametrize("kind", KINDS)
def test_absent_samples_of_a_stream(kind):
    features, objective = features_of(1), OBJECTIVES[kind](streams=STREAMS)
    there = jnp.asarray([1, 1, 0, 1, 0, 1], bool)
    batch, key = {"audio_present": there}, jax.random.key(1)
    params = initialised(objective, features, batch)

    def loss(vectors):
        wrapped = {s: Features(pooled=v, tokens=None, mask=None) for s, v in zip(STREAMS, vectors, strict=True)}
        return run(objective, params, wrapped, batch, key)[0]

    dirty = vectors_of(features)
    dirty[2] = jnp.where(there[:, None], dirty[2], jnp.nan)
    value, gradients = jax.value_and_grad(loss)(dirty)
    assert value == loss(vectors_of(features)) != run(objective, params, features, {}, key)[0]
    assert np.all(gradients[2][~there] == 0) and all(np.all(np.isfinite(g)) for g in gradients)


def test_pairs_have_their_own_scales_and_weights():
    features = features_of(2)
    pairs = (("image", "text"), ("audio", "image"))
    options = {"pairs": pairs, "pair_weights": (1.0, 0.5), "loss": "sigmoid", "temperature": 0.1, "bias": -3.0}
    objective = OBJECTIVES["pairwise"](streams=STREAMS, **options)
    params = initialised(objective, features, {})
    assert params["logit_scale"].shape == params["logit_bias"].shape == (2,)
    params = {"logit_scale": jnp.log(jnp.asarray([4.0, 9.0])), "logit_bias": jnp.asarray([-3.0, -1.0])}
    loss, metrics = run(objective, params, features, {}, jax.random.key(1))
    image, text, audio = vectors_of(features)
    first = losses.sigmoid_contrastive(image, text, jnp.float32(4.0), jnp.float32(-3.0))
    second = losses.sigmoid_contrastive(audio, image, jnp.float32(9.0), jnp.float32(-1.0))
    np.testing.assert_allclose(loss, first + 0.5 * second, rtol=1e-5)
    np.testing.assert_allclose(metrics["audio_image_loss"], second, rtol=1e-5)
    assert metrics["audio_image_logit_scale"] == pytest.approx(9.0)
    assert metrics["audio_image_logit_bias"] == -1.0


def test_all_pairs_by_default_with_smoothing():
    features, objective = features_of(3), OBJECTIVES["pairwise"](streams=STREAMS, label_smoothing=0.2)
    params = initialised(objective, features, {})
    loss, metrics = run(objective, params, features, {}, jax.random.key(1))
    image, text, audio = vectors_of(features)
    smooth = functools.partial(losses.softmax_contrastive, scale=jnp.exp(params["logit_scale"][0]), label_smoothing=0.2)
    np.testing.assert_allclose(loss, smooth(image, text) + smooth(image, audio) + smooth(text, audio), rtol=1e-5)
    assert {"image_text_loss", "image_audio_loss", "text_audio_loss"} <= set(metrics)


@pytest.mark.parametrize("kind", KINDS)
def test_scales_stay_within_their_limits(kind):
    objective = OBJECTIVES[kind](streams=STREAMS, max_scale=50.0)
    for wild, kept in ((100.0, math.log(50.0)), (-3.0, 0.0)):
        shape = (3,) if kind == "pairwise" else ()
        params = objective.after_update({"logit_scale": jnp.full(shape, wild)})
        np.testing.assert_allclose(params["logit_scale"], kept, rtol=1e-6)


def test_shuffles_of_symile_come_from_the_key_and_its_name():
    features = features_of(4, rows=32)
    both = WeightedObjectives((("a", "symile", {"streams": STREAMS}), ("b", "symile", {"streams": STREAMS})))
    params = initialised(both, features, {})

    def parts(key):
        metrics = run(both, params, features, {}, key)[1]
        return float(metrics["a/contrastive_loss"]), float(metrics["b/contrastive_loss"])

    first = parts(step_key(0, "objective", 3))
    assert first == parts(step_key(0, "objective", 3))
    assert len({*first, *parts(step_key(0, "objective", 4)), *parts(step_key(1, "objective", 3))}) == 6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loss": "hinge"}, "loss cannot be 'hinge'"),
        ({"pairs": (("image", "depth"),)}, "is not a pair of streams"),
        ({"pairs": ("image",)}, "is not a pair of streams"),
        ({"pair_weights": (1.0,)}, "1 weights for 3 pairs"),
        ({"loss": "sigmoid", "label_smoothing": 0.1}, "no target to smooth"),
    ],
)
def test_options_of_pairwise_that_do_not_fit(options, said):
    with pytest.raises(UserError, match=said):
        initialised(OBJECTIVES["pairwise"](streams=STREAMS, **options), features_of(), {})


def test_unknown_form_of_multiview():
    with pytest.raises(UserError, match="form cannot be 'mv_dhell'") as error:
        initialised(OBJECTIVES["multiview"](streams=STREAMS, form="mv_dhell"), features_of(), {})
    assert "did you mean 'mv_dhel'" in str(error.value)


def small_config(objective, **changes):
    config = config_lib.default()
    config.duration = "3 steps"
    config.batch_size = 16
    config.embed_dim = 8
    config.towers.image = config_lib.tower("mlp", image_size=8, width=16, depth=1)
    config.streams.image_2 = "image"
    config.streams.text = "image"
    config.objectives.main = config_lib.objective(objective, streams=("image", "image_2", "text"))
    config.update_from_flattened_dict(changes)
    return config


def losses_of(config, devices):
    rng = np.random.default_rng(0)
    batch = {s: rng.integers(0, 256, (16, 8, 8, 3)).astype(np.uint8) for s in ("image", "image_2", "text")}
    batch |= {"id": np.arange(16, dtype=np.int32), "text_present": np.arange(16) % 5 != 1}
    experiment = build_experiment(config, examples=160, batch_shapes=batch, devices=devices)
    state, (step, _) = experiment.init(), experiment.compile_step()
    values = []
    for _ in range(3):
        placed = {k: jax.device_put(v, experiment.batch[k].sharding) for k, v in batch.items()}
        state, metrics = step(state, placed)
        values.append(float(metrics["loss"]))
    return values


def test_symile_trains_the_same_on_any_mesh_and_micro_batching():
    one = losses_of(small_config("symile"), jax.devices()[:1])
    assert len(set(one)) == 3
    eight = losses_of(small_config("symile", **{"mesh.fsdp": 2, "microbatches": 2}), jax.devices()[:8])
    np.testing.assert_allclose(eight, one, rtol=1e-5)
