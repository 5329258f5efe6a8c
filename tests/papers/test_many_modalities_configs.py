"""The configs of papers on several modalities and on prototypes: every arm, and the paper's recipe, are whole."""

import pytest

from mmjax import config as c
from tests.papers.running import module

# File: the batch and the objective of the paper's own recipe.
FULL = {
    "symile": (280, "symile"),
    "gram": (256, "gram"),
    "mv_infonce": (256, "multiview"),
    "one_to_k": (1024, "one_to_k"),
    "valor": (512, "grouped_tokens"),
    "vipant": (432, "softmax"),
    "control_mvr": (1024, "softmax"),
    "swav": (4096, "swav"),
    "protoclip": (512, "protoclip"),
    "mcl": (512, "supervised"),
}


@pytest.mark.parametrize("name", FULL)
def test_the_recipe_of_the_paper(name):
    config = module(name).get_config("full")
    c.validate(config)
    assert (config.batch_size, FULL[name][1]) == (FULL[name][0], [o.kind for o in config.objectives.values()][-1])
    assert all(tower.get("remat", "full") == "full" for tower in config.towers.values() if tower.get("depth", 0) > 1)


@pytest.mark.parametrize("name", FULL)
def test_every_cell_of_the_sweep(name):
    sweep, made = module(name).get_sweep(), set()
    for changes in sweep.cells.values():
        config = module(name).get_config(changes.get("arg", ""))
        known = dict(c.flatten(config))
        assert set(changes) - {"arg"} <= known.keys()
        made.add(c.to_json(config) + repr(sorted(changes)))
        if not config.teachers:
            c.validate(config)
    assert len(made) == len(sweep.cells) and sweep.baseline in sweep.cells


@pytest.mark.parametrize("name", FULL)
def test_unknown_arguments_are_refused(name):
    with pytest.raises(ValueError, match="unknown argument 'nonsense'"):
        module(name).get_config("nonsense")
