"""The configs that docs/plan.md prices: every argument gives one that validates, of the sizes its name says."""

import runpy
from pathlib import Path

import pytest

from mmjax import config as c
from mmjax.plan.plan import examples_of

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    ("file", "arg", "width", "streams"),
    [
        ("siglip", "b16", 768, {"image", "text"}),
        ("siglip", "l16", 1024, {"image", "text"}),
        ("siglip", "so400m", 1152, {"image", "text"}),
        ("image_two_texts", "", 768, {"image", "text", "text_2"}),
        ("image_two_texts", "n_squared", 768, {"image", "text", "text_2"}),
    ],
)
def test_configs_validate_without_their_data(file, arg, width, streams):
    config = runpy.run_path(str(CONFIGS / f"{file}.py"))["get_config"](arg)
    c.validate(config)
    assert config.embed_dim == config.towers.image.width == width and set(config.streams) == streams
    assert examples_of(config) == 0  # no duration in epochs, so nothing to count


def test_unknown_size_is_refused():
    with pytest.raises(ValueError, match="b16, l16, so400m"):
        runpy.run_path(str(CONFIGS / "siglip.py"))["get_config"]("b8")
