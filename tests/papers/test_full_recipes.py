"""The papers' own recipes, `:full`: each builds at the paper's sizes, and the published plan is of it as it is now."""

import json

import jax
import pytest

from benchmarks import full_recipes
from mmjax.data.shapes import batch_shapes
from mmjax.training.experiment import build_experiment
from tests.papers.running import PAPERS, ROOT

NAMES = sorted(path.stem for path in PAPERS.glob("*.py"))
PLANNED = json.loads((ROOT / "benchmarks" / "results" / "full_recipes.json").read_text())["recipes"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_full_recipe_builds(name):
    config = full_recipes.full_recipe(name)
    shapes = batch_shapes(config.data, tuple(config.streams), config.batch_size)
    shapes = {k: jax.ShapeDtypeStruct(*v) for k, v in shapes.items()}
    experiment = build_experiment(config, examples=10_000_000, batch_shapes=shapes, devices=jax.devices()[:1])
    assert sum(x.size for x in jax.tree.leaves(experiment.state.params["model"])) > 1e7


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_is_of_the_recipe_as_it_is_now(name):
    again = f"run: python -m benchmarks.full_recipes --output=benchmarks/results/full_recipes.json {name}"
    assert name in PLANNED and PLANNED[name]["recipe"] == full_recipes.digest(name), again
    assert PLANNED[name]["fits"] and PLANNED[name]["used"] < PLANNED[name]["available"]


def test_the_published_table_is_of_these_plans():
    assert PLANNED.keys() == set(NAMES)
    assert full_recipes.table(PLANNED) in (ROOT / "docs" / "plan.md").read_text()
