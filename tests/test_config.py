"""Every config loads; every kind of mistake in one is named with its place and the nearest right name."""

import pathlib
import runpy

import pytest

from mmjax import cli
from mmjax import config as config_lib
from mmjax.config import keys, reference
from mmjax.errors import UserError

ROOT = pathlib.Path(__file__).parent.parent
SECTIONS = [path for path, key in config_lib.KEYS.items() if isinstance(key, dict)]
CONFIGS = sorted((ROOT / "configs").rglob("*.py"))
HEADER = """
from mmjax import config as c
def get_config(arg=""):
    config = c.default()
    config.towers.image = c.tower("vit", "Ti/16")
    config.towers.text = c.tower("text", "Ti")
    config.objectives.contrastive = c.objective("softmax")
"""


def mistake(tmp_path, capsys, line="", *flags):
    """What the command line says to a config file with `line` in it."""
    file = tmp_path / "experiment.py"
    file.write_text(HEADER + f"    {line}\n    return config\n")
    code = cli.main(["data", f"--config={file}", *flags])
    message = capsys.readouterr().err
    assert code == 2 and "Traceback" not in message
    return message


@pytest.mark.parametrize("file", CONFIGS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_config_loads_and_is_valid(file):
    config = runpy.run_path(str(file))["get_config"]()
    config_lib.validate(config)
    again = config_lib.from_json(config_lib.to_json(config))
    assert config_lib.differences(config, again) == []
    doc = file.read_text().split('"""')[1]
    commands = ("mmjax train --config", "mmjax sweep --config")
    assert any(command in doc for command in commands), "a config opens with its command, cost and result"


@pytest.mark.parametrize("section", SECTIONS)
def test_misspelt_key_in_each_section(section, tmp_path, capsys):
    key = next(k for k, v in config_lib.KEYS[section].items() if isinstance(v, config_lib.Key))
    for text in (mistake(tmp_path, capsys, f"config.{section}.{key}x = 1"),):
        assert f"unknown config key '{key}x'" in text and f"did you mean '{key}'" in text and "experiment.py:8" in text
    text = mistake(tmp_path, capsys, "", f"--config.{section}.{key}x=1")
    assert f"unknown config key '{key}x'" in text and f"--config.{section}.{key}x" in text


def test_misspelt_top_level_key(tmp_path, capsys):
    assert "did you mean 'batch_size'" in mistake(tmp_path, capsys, "config.batch_sise = 1")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('config.towers.image = c.tower("vitt")', "did you mean 'vit'"),
        ('config.towers.image = c.tower("vit", "B/17x")', "size of vit"),
        ('config.towers.image = c.tower("vit", patchsize=3)', "did you mean 'patch_size'"),
        ('config.towers.image = c.tower("vit", patch_size="3")', "patch_size = '3' has the wrong type"),
        ('config.objectives.x = c.objective("softmax", weights=2.0)', "did you mean 'weight'"),
        ('config.data.augment.x = c.augment("flip", probabillity=0.5)', "no option 'probabillity'"),
        ('config.evaluations.x = c.evaluation("retrieval", sorce="emoji:unseen")', "did you mean 'source'"),
        ('config.seed = "a"', "str"),
        ("config.seed = 1 +", "the config file is no Python"),
        ("import nothing_like_this", "nothing_like_this"),
    ],
)
def test_mistakes_in_a_file(line, said, tmp_path, capsys):
    assert said in mistake(tmp_path, capsys, line)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update({"activations": "float16"}), "use one of auto, float32, bfloat16"),
        (lambda c: c.update({"duration": "ten"}), "'ten' is not a duration"),
        (lambda c: c.optimizer.update({"name": "adam"}), "use one of adamw"),
        (lambda c: c.update({"batch_size": 0}), "batch_size must be at least 1"),
        (lambda c: c.data.update({"captions": ("{txt}",)}), "(template, weight)"),
        (lambda c: c.streams.update({"image_2": "imagee"}), "names the tower 'imagee'"),
        (lambda c: c.objectives.x.update({"streams": ("image", "audio")}), "the stream 'audio' does not exist"),
    ],
)
def test_values_that_do_not_fit(change, said):
    config = config_lib.default()
    config.towers.image = config_lib.tower("vit")
    config.towers.text = config_lib.tower("text")
    config.objectives.x = config_lib.objective("softmax")
    config_lib.validate(config)
    change(config)
    with pytest.raises(UserError, match=None) as error:
        config_lib.validate(config)
    assert said in str(error.value)


def test_every_key_and_option_has_a_meaning():
    for path, key in keys.leaves(config_lib.KEYS):
        assert len(key.meaning) > 5, path
    for title, registry in reference.registries().items():
        for kind, cls in registry.items():
            fields = {f.name for f in config_lib.option_fields(cls)}
            assert fields == set(config_lib.field_meanings(cls)), f"{title} {kind}"


def test_the_reference_page_is_current():
    assert (ROOT / "docs" / "config.md").read_text() == config_lib.markdown(), (
        "run python -m mmjax.config > docs/config.md"
    )


def test_differences_leave_out_what_a_resumed_run_may_change():
    old, new = config_lib.default(), config_lib.default()
    new.mesh.fsdp, new.log.every, new.data.workers = 4, "1 steps", 2
    assert config_lib.differences(old, new) == []
    new.optimizer.b1 = 0.5
    assert config_lib.differences(old, new) == ["optimizer.b1: 0.9 -> 0.5"]
