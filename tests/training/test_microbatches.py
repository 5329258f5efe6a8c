"""Exact micro-batching: the gradients of the whole batch, in the memory of a part of it."""

import jax
import numpy as np
import pytest

from mmjax import config as config_lib
from mmjax.mesh import path_name
from mmjax.training.experiment import build_experiment
from tests.training.test_step import batch_of, small_config

OBJECTIVES = {
    "sigmoid": config_lib.objective("sigmoid", bias=-2.0),
    "decoupled": config_lib.objective("decoupled"),
    "symile": config_lib.objective("symile", streams=("image", "image_2", "text")),
    "gram": config_lib.objective("gram", streams=("text", "image", "image_2")),
}


def gradients(kind, parts):
    """The gradient of one step, as the change that plain descent with step 1 makes, on one device."""
    config = small_config(microbatches=parts, **{"ema_decay": 0.0, "log.every": "1 steps"})
    config.streams.image_2 = "image"
    config.objectives.contrastive = OBJECTIVES[kind]
    config.optimizer.update({"name": "sgd", "b1": 0.0, "learning_rate": 1.0, "weight_decay": 0.0, "clip_norm": 0.0})
    config.schedule.update({"name": "constant", "warmup": "0 steps"})
    present = np.arange(16) % 5 != 2
    batch = batch_of(0) | {"image_2": batch_of(1)["image"], "image_2_present": present}
    experiment = build_experiment(config, examples=160, batch_shapes=batch, devices=jax.devices()[:1])
    before = jax.device_get(experiment.init().params)
    after, _ = experiment.compile_step()[0](experiment.init(), jax.device_put(batch))
    return jax.tree.map(lambda a, b: a - b, before, jax.device_get(after.params))


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_every_gradient_is_the_whole_batchs_with_all_dropouts_on(kind):
    whole, parts = gradients(kind, 1), gradients(kind, 4)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(whole), jax.tree.leaves(parts), strict=True):
        name = path_name(path)
        if name.endswith("attention/key/bias"):
            continue  # it has none: a shift of all keys changes no softmax
        assert np.abs(a).max() > 0, name
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6 * max(np.abs(a).max(), 1e-2), err_msg=name)


def test_activations_take_the_memory_of_a_part():
    """A tower whose activations dwarf its parameters: what the compiled step needs falls with the number of parts."""

    def temporaries(parts):
        config = small_config(batch_size=64, microbatches=parts, **{"towers.image.image_size": 32})
        batch = {k: np.repeat(v, 4, axis=0) for k, v in batch_of(0).items()}
        batch["image"] = np.zeros((64, 32, 32, 3), np.uint8)
        experiment = build_experiment(config, examples=640, batch_shapes=batch, devices=jax.devices()[:1])
        return experiment.trace_step().lower().compile().memory_analysis().temp_size_in_bytes

    needed = {parts: temporaries(parts) for parts in (1, 2, 4)}
    fixed = 2 * needed[2] - needed[1]  # of fixed + activations / parts
    activations = needed[1] - fixed
    assert activations > 0.9 * needed[1], needed
    assert needed[4] == pytest.approx(fixed + activations / 4, rel=0.1), needed


def test_splitting_parameters_gathers_no_activations():
    """What a device needs under fsdp is what it needs with copied parameters, not the activations of all rows."""

    def temporaries(**mesh):
        config = small_config(batch_size=64, **{"towers.image.image_size": 32} | mesh)
        batch = {k: np.repeat(v, 4, axis=0) for k, v in batch_of(0).items()}
        batch["image"] = np.zeros((64, 32, 32, 3), np.uint8)
        experiment = build_experiment(config, examples=640, batch_shapes=batch)
        return experiment.trace_step().lower().compile().memory_analysis().temp_size_in_bytes

    copied = temporaries()
    assert temporaries(**{"mesh.data": 1, "mesh.fsdp": 8}) < 1.15 * copied
    assert temporaries(**{"mesh.data": 2, "mesh.fsdp": 4}) < 1.15 * copied
