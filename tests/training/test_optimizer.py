"""Update rules against numbers worked out by hand, decay and freezing by pattern."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.training.optimizer import build_optimizer, decayed_parameters

PARAMS = {
    "image": {
        "blocks": {"mlp": {"up": {"kernel": jnp.full((2, 3, 4), 2.0), "bias": jnp.full((2, 4), 2.0)}}},
        "position_embedding": jnp.full((5, 4), 2.0),
    },
    "image_projection": {"kernel": jnp.full((4, 4), 2.0)},
}


def update_of(params=PARAMS, grad=0.5, steps=1, **keys):
    """The last update after `steps` equal gradients, at learning rate 0.1."""
    config = config_lib.default()
    config.optimizer.update({"clip_norm": 0.0, "weight_decay": 0.0} | keys)
    tx = build_optimizer(config, params, lambda step: 0.1)
    state = tx.init(params)
    grads = jax.tree.map(lambda p: jnp.full_like(p, grad), params)
    for _ in range(steps):
        updates, state = tx.update(grads, state, params)
    return updates, state


def leaf(tree):
    return np.asarray(tree["image_projection"]["kernel"])


def test_adamw_first_step_is_the_sign_plus_decay():
    updates, _ = update_of(name="adamw", weight_decay=0.3)
    np.testing.assert_allclose(leaf(updates), -0.1 * (1.0 + 0.3 * 2.0), rtol=1e-5)


def test_lion_is_the_sign():
    np.testing.assert_allclose(leaf(update_of(name="lion")[0]), -0.1, rtol=1e-6)


def test_sgd_gathers_momentum():
    updates, _ = update_of(name="sgd", b1=0.9, steps=3)
    np.testing.assert_allclose(leaf(updates), -0.1 * 0.5 * (1 + 0.9 + 0.81), rtol=1e-6)


def test_lamb_scales_by_the_trust_ratio():
    # |p| / |sign| = 2 / 1 for every layer here
    np.testing.assert_allclose(leaf(update_of(name="lamb")[0]), -0.1 * 2.0, rtol=1e-5)


def test_adafactor_first_step_has_unit_rms():
    np.testing.assert_allclose(leaf(update_of(name="adafactor")[0]), -0.1, rtol=1e-3)


def test_muon_orthogonalises_matrices_of_blocks_and_no_others():
    rng = np.random.default_rng(0)
    gradient = jnp.asarray(rng.normal(size=(2, 6, 4)), jnp.float32)
    params = {"image": {"blocks": {"mlp": {"up": {"kernel": gradient, "bias": jnp.ones((2, 4))}}}}}
    config = config_lib.default()
    config.optimizer.update({"name": "muon", "clip_norm": 0.0, "weight_decay": 0.0})
    tx = build_optimizer(config, params, lambda step: 0.1)
    updates, _ = tx.update(params, tx.init(params), params)
    kernel = np.asarray(updates["image"]["blocks"]["mlp"]["up"]["kernel"])
    for layer in kernel:
        # Newton-Schulz leaves singular values between about 0.7 and 1.2; 0.2 sqrt(6) makes them as large as Adam's
        values = np.linalg.svd(layer, compute_uv=False) / (0.1 * 0.2 * 6**0.5)
        assert (values > 0.6).all() and (values < 1.3).all()
    np.testing.assert_allclose(updates["image"]["blocks"]["mlp"]["up"]["bias"], -0.1, rtol=1e-5)


def test_clipping_by_the_global_norm():
    updates, _ = update_of(name="sgd", clip_norm=1.0)
    size = sum(x.size for x in jax.tree.leaves(PARAMS))
    np.testing.assert_allclose(leaf(updates), -0.1 / size**0.5, rtol=1e-5)


def test_what_is_decayed_by_default():
    assert decayed_parameters(PARAMS, config_lib.default().optimizer.no_decay) == {
        "image/blocks/mlp/up/kernel": True,
        "image/blocks/mlp/up/bias": False,  # two axes, but one of them is the stack of layers
        "image/position_embedding": False,
        "image_projection/kernel": True,
    }


def test_factors_by_pattern_first_match_wins():
    rules = (("projection", 0.5, 0.0), ("", 2.0, 1.0))
    updates, _ = update_of(name="adamw", weight_decay=0.3, rules=rules)
    np.testing.assert_allclose(leaf(updates), -0.1 * 0.5, rtol=1e-5)
    np.testing.assert_allclose(updates["image"]["position_embedding"], -0.1 * 2.0, rtol=1e-5)


def test_frozen_parameters_get_no_update_and_hold_no_moments():
    updates, state = update_of(name="adamw", weight_decay=0.3, rules=(("^image/", 0.0, 1.0),))
    assert not np.any(updates["image"]["position_embedding"]) and np.any(leaf(updates))
    assert sum(x.size for x in jax.tree.leaves(state)) < 2 * 16 + 8  # two moments of the projection, and counts


def test_a_pattern_that_matches_nothing():
    with pytest.raises(UserError, match="'vision' matches no parameter"):
        update_of(rules=(("vision", 0.0, 1.0),))
