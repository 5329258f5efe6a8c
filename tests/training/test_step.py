"""Any mesh and any micro-batching give the one-device run, with dropout, and parameters lie as the rules say."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.mesh import path_name
from mmjax.training.experiment import build_experiment
from mmjax.training.flops import count_flops

STEPS = 20


def small_config(**changes):
    config = config_lib.default()
    config.duration = f"{STEPS} steps"
    config.batch_size = 16
    config.embed_dim = 8
    config.ema_decay = 0.9
    config.optimizer.learning_rate = 1e-2
    shared = {"width": 16, "heads": 4, "mlp_ratio": 2.0, "pool": "mean", "dropout": 0.1}
    config.towers.image = config_lib.tower(
        "vit", image_size=8, patch_size=4, depth=2, scan=True, patch_dropout=0.25, drop_path=0.2, **shared
    )
    config.towers.text = config_lib.tower("text", vocab_size=32, context=4, depth=1, **shared)
    config.objectives.contrastive = config_lib.objective("softmax")
    config.update_from_flattened_dict(changes)
    return config


def batch_of(step):
    rng = np.random.default_rng(step)
    return {
        "image": rng.integers(0, 256, (16, 8, 8, 3)).astype(np.uint8),
        "text": rng.integers(1, 32, (16, 4)).astype(np.int32),
        "text_mask": rng.random((16, 4)) < 0.8,
        "id": rng.permutation(1000)[:16].astype(np.int32),
    }


def build(config, devices=None):
    return build_experiment(config, examples=160, batch_shapes=batch_of(0), devices=devices)


def run(config, devices=None):
    """Losses of all steps, and the last state."""
    experiment = build(config, devices)
    state, (step, _), losses = experiment.init(), experiment.compile_step(), []
    for i in range(STEPS):
        placed = {k: jax.device_put(v, experiment.batch[k].sharding) for k, v in batch_of(i).items()}
        state, metrics = step(state, placed)
        losses.append(float(metrics["loss"]))
    return np.array(losses), state


@pytest.fixture(scope="module")
def one_device():
    return run(small_config(), jax.devices()[:1])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mesh.data": 1, "mesh.fsdp": 8},
        {"mesh.fsdp": 2, "mesh.tensor": 2},
        {"microbatches": 4, "mesh.fsdp": 2, "mesh.tensor": 2},
        {"objectives.contrastive.impl": "ring"},
        {"objectives.contrastive.impl": "ring", "microbatches": 2, "mesh.fsdp": 2, "mesh.tensor": 2},
        {"objectives.contrastive.impl": "blockwise", "microbatches": 2},
    ],
    ids=lambda changes: ",".join(f"{k.split('.')[-1]}={v}" for k, v in changes.items()) or "data=8",
)
def test_any_mesh_gives_the_one_device_run(changes, one_device):
    losses, state = run(small_config(**changes))
    np.testing.assert_allclose(losses, one_device[0], rtol=1e-5)
    assert losses[-1] != losses[0]
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(state.ema), jax.tree.leaves(one_device[1].ema), strict=True
    ):
        # A shift of all keys changes no softmax: their bias has no gradient, and Adam makes steps of rounding errors.
        if not path_name(path).endswith("attention/key/bias"):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5, err_msg=path_name(path))


def test_parameters_moments_and_average_lie_as_the_rules_say():
    experiment = build(small_config(**{"mesh.fsdp": 2, "mesh.tensor": 2}))
    state = experiment.init()
    for tree in (state.params, state.ema):
        blocks = tree["model"]["image"]["blocks"]
        assert blocks["attention"]["query"]["kernel"].sharding.spec == P(None, "fsdp", "tensor")
        assert blocks["mlp"]["down"]["kernel"].sharding.spec == P(None, "tensor", "fsdp")
        assert blocks["mlp"]["up"]["bias"].sharding.spec == P(None, "tensor")
    kernels = [
        x
        for path, x in jax.tree_util.tree_leaves_with_path(state.opt_state)
        if path_name(path).endswith("image/blocks/mlp/down/kernel")
    ]
    assert len(kernels) == 2  # both moments
    for moment in kernels:
        assert moment.sharding.spec == P(None, "tensor", "fsdp")
        assert moment.addressable_shards[0].data.shape == (2, 16, 8)


def test_frozen_tower_keeps_its_weights():
    config = small_config(**{"optimizer.rules": (("^model/image/", 0.0, 0.0),), "towers.image.depth": 0})
    before = build(config, jax.devices()[:1]).init()
    _, after = run(config, jax.devices()[:1])
    for a, b in zip(
        *map(jax.tree.leaves, (before.params["model"]["image"], after.params["model"]["image"])), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert np.any(
        before.params["model"]["text_projection"]["kernel"] != after.params["model"]["text_projection"]["kernel"]
    )


def test_batch_that_does_not_divide():
    with pytest.raises(UserError, match="batch_size 16 does not divide into 8"):
        build(small_config(microbatches=3))


def test_flops_of_a_scan_count_every_layer():
    def matmuls(x, ws):
        return jax.lax.scan(lambda x, w: (x @ w, None), x, ws)[0]

    x, ws = np.ones((4, 8), np.float32), np.ones((5, 8, 8), np.float32)
    assert count_flops(matmuls, x, ws) == 5 * 2 * 4 * 8 * 8


def test_flops_of_a_conditional_are_those_of_its_cheapest_branch():
    def sometimes(n, x):
        return jax.lax.cond(n % 10 == 0, lambda x: x @ x @ x, lambda x: x @ x, x)

    assert count_flops(sometimes, 3, np.ones((4, 4), np.float32)) == 2 * 4 * 4 * 4


def test_flops_of_a_step_are_three_times_the_products_of_the_forward_pass():
    config = small_config(**{"towers.image.patch_dropout": 0.0})
    experiment = build(config, jax.devices()[:1])
    b, w, m, tokens, length = 16, 16, 32, 4, 4
    block = lambda n: 2 * b * n * (4 * w * w + 2 * w * m) + 4 * b * n * n * w  # noqa: E731
    forward = 2 * b * tokens * 48 * w + 2 * block(tokens) + block(length) + 2 * 2 * b * w * 8 + 2 * b * b * 8
    stem_input = 2 * b * tokens * 48 * w  # no gradient flows to the pixels
    assert count_flops(experiment.train_step(), experiment.state, experiment.batch) == 3 * forward - stem_input
