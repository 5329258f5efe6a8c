"""What README says is what happens: its Python runs, its commands are commands."""

import pathlib
import re
import runpy
import shlex

import numpy as np
import pytest
from PIL import Image

from mmjax import cli
from mmjax import config as config_lib

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.S)
COMMANDS = [
    line.split("&&")[-1].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.S)
    for line in block.splitlines()
    if "mmjax " in line
]


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


def make_pairs(folder):
    """README's own lines that write a tar, run on a few pictures."""
    rng = np.random.default_rng(0)
    pairs = []
    for i in range(24):
        path = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (40, 30, 3), np.uint8)).save(path)
        pairs.append((path, f"picture number {i}"))
    exec(next(b for b in PYTHON if "tarfile" in b), {"PAIRS": pairs})


def test_own_pairs_as_readme_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_pairs(tmp_path)
    small = [
        "--config.duration=1 steps",
        "--config.batch_size=8",
        "--config.data.image_size=32",
        "--config.towers.image.image_size=32",
        "--config.towers.image.depth=1",
        "--config.towers.text.depth=1",
    ]
    for command in (c for c in COMMANDS if "pairs" in c):
        words = shlex.split(command)[1:]
        config = next(w for w in words if w.startswith("--config="))
        words[words.index(config)] = config.replace("=configs/", f"={ROOT}/configs/")
        assert cli.main([*words, *small]) == 0, capsys.readouterr().err
    assert (tmp_path / "runs" / "pairs" / "checkpoints" / "1").is_dir()
    assert (tmp_path / "contact_sheet.png").stat().st_size > 1000


@pytest.mark.parametrize("name", sorted(cli.VERBS))
def test_every_verb_is_in_the_table(name):
    assert f"| `mmjax {name} " in README


def test_files_that_readme_names_exist():
    for name in re.findall(r"\]\((?!http)([^)#]+)\)", README) + re.findall(
        r"`((?:tests|launch|configs)/[^`\s]*)`", README
    ):
        assert (ROOT / name).exists(), name
