"""What is counted of a config's step, against closed formulas; on the CPU devices of the tests."""

import logging

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from mmjax import config as c
from mmjax.plan.cost import count_costs
from mmjax.plan.step import encoders, experiment_on, model_flops
from mmjax.training.flops import count_flops
from mmjax.training.progress import notes_told

WIDTH, DEPTH, HEADS, SIDE, PATCH, CONTEXT, BATCH, DIMS = 48, 3, 4, 64, 16, 8, 32, 24


def tower_config(**options):
    """A ViT and a text transformer of one shape; attention pooling is left out so that the formula stays short."""
    config = c.default()
    config.batch_size, config.embed_dim = BATCH, DIMS
    config.data.image_size, config.data.context = SIDE, CONTEXT
    shape = {"width": WIDTH, "depth": DEPTH, "heads": HEADS, "pool": "mean", **options}
    config.towers.image = c.tower("vit", image_size=SIDE, patch_size=PATCH, **shape)
    config.towers.text = c.tower("text", vocab_size=100, context=CONTEXT, **shape)
    config.objectives.contrastive = c.objective("sigmoid")
    return config


def forward_flops(tokens: int) -> int:
    """Products of one example in the blocks: 12 W^2 weights a layer for each token, and N^2 W twice for attention."""
    return DEPTH * (2 * tokens * 12 * WIDTH**2 + 2 * 2 * tokens**2 * WIDTH)


PATCHES = (SIDE // PATCH) ** 2
STEM = 2 * PATCHES * PATCH**2 * 3 * WIDTH
PROJECTION = 2 * WIDTH * DIMS
IMAGE, TEXT = forward_flops(PATCHES) + STEM + PROJECTION, forward_flops(CONTEXT) + PROJECTION
# Backward costs twice the forward pass but for the gradient of the pixels; the logits are one product more of each.
STEP = BATCH * (3 * (IMAGE + TEXT) - STEM) + 3 * 2 * BATCH * BATCH * DIMS


def test_encoders_against_the_closed_formula():
    found = encoders(experiment_on(jax.devices(), tower_config(), 1000))
    assert {name: e["flops"] for name, e in found.items()} == {"image": IMAGE, "text": TEXT}
    block = 4 * (WIDTH**2 + WIDTH) + 8 * WIDTH**2 + 5 * WIDTH + 4 * WIDTH
    text = DEPTH * block + 2 * WIDTH + 100 * WIDTH + CONTEXT * WIDTH + WIDTH * DIMS
    assert found["text"]["parameters"] == text


@pytest.mark.parametrize("scan", [False, True])
def test_model_flops_leave_out_what_is_computed_twice(scan):
    config = tower_config(scan=scan, remat="full")
    config.microbatches = 2
    assert model_flops(jax.devices(), config, 1000) == STEP
    experiment = experiment_on(jax.devices(), config, 1000)
    # One micro-batch after another, each under remat: the forward pass runs three times in all.
    again = count_flops(experiment.train_step(), experiment.state, experiment.batch)
    assert again > STEP + BATCH * (IMAGE + TEXT)


@pytest.mark.parametrize("scan", [False, True])
def test_compiled_step_against_the_closed_formula(scan):
    """On 8 devices each does an eighth; XLA leaves out no product and adds none."""
    experiment = experiment_on(jax.devices(), tower_config(scan=scan), 1000)
    compiled = experiment.trace_step().lower().compile()
    assert count_costs(compiled.as_text()).flops == pytest.approx(STEP / 8, rel=0.02)


def test_flops_of_a_shard_map_are_of_all_its_devices():
    mesh = jax.make_mesh((4, 2), ("data", "tensor"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    split = {"in_specs": (PartitionSpec("data"), PartitionSpec()), "out_specs": PartitionSpec("data")}
    product = jax.shard_map(lambda x, w: x @ w, mesh=mesh, axis_names={"data"}, check_vma=False, **split)
    args = np.ones((8, 16), np.float32), np.ones((16, 4), np.float32)
    assert count_flops(product, *args) == 2 * 8 * 16 * 4


def test_flops_of_unused_products_are_not_counted():
    args = np.ones((8, 16), np.float32), np.ones((16, 4), np.float32)
    assert count_flops(lambda x, w: (x @ w, x @ x.T)[0], *args) == 2 * 8 * 16 * 4


def test_notes_are_collected_once():
    logger = logging.getLogger("mmjax")
    said = []
    with notes_told(said.append):
        for _ in range(2):
            logger.info("chose %s", "ring")
    logger.info("later")
    assert said == ["chose ring"]
