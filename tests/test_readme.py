"""What README says is what happens: its Python runs, its verbs and files are there (its recipes: test_recipes.py)."""

import pathlib
import re
import runpy

import pytest

from mmjax import cli
from mmjax import config as config_lib

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)


def test_the_example_config_is_valid(tmp_path):
    block = next(b for b in PYTHON if "def get_config" in b)
    (tmp_path / "example.py").write_text(block)
    config = runpy.run_path(str(tmp_path / "example.py"))["get_config"]()
    config_lib.validate(config)
    assert config.objectives.contrastive.kind == "sigmoid"


def test_the_lines_on_three_modalities_run():
    names = {}
    exec(next(b for b in PYTHON if "symile" in b), names)
    config = names["config"]
    config.towers.image = config.towers.image_2 = config_lib.tower("mlp", image_size=64)
    config.towers.text = config_lib.tower("text", vocab_size=2048, context=16)
    config_lib.validate(config)
    assert config.data.streams.image_2.image_keys == ("fluent.webp",)


@pytest.mark.parametrize("name", sorted(cli.VERBS))
def test_every_verb_is_in_the_table(name):
    assert f"| `mmjax {name} " in README


def test_files_that_readme_names_exist():
    for name in re.findall(r"\]\((?!http)([^)#]+)\)", README) + re.findall(
        r"`((?:tests|launch|configs)/[^`\s]*)`", README
    ):
        assert (ROOT / name).exists(), name
