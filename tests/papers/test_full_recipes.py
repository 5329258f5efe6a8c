"""The papers' own recipes, `:full`: every one builds, its loss traced, at the paper's sizes."""

import jax
import pytest

from mmjax.data.shapes import batch_shapes
from mmjax.training.experiment import build_experiment
from tests.papers.running import PAPERS, config_of

NAMES = {path.stem for path in PAPERS.glob("*.py")}
# Its full recipe goes on from another run, which is not there.
NEEDS_A_RUN = {"xbt"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NAMES - NEEDS_A_RUN))
def test_the_full_recipe_builds(name):
    config = config_of(name, "full")
    shapes = batch_shapes(config.data, tuple(config.streams), config.batch_size)
    shapes = {k: jax.ShapeDtypeStruct(*v) for k, v in shapes.items()}
    experiment = build_experiment(config, examples=10_000_000, batch_shapes=shapes, devices=jax.devices()[:1])
    assert sum(x.size for x in jax.tree.leaves(experiment.state.params["model"])) > 1e7
