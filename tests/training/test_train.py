"""Runs of the tiny config: resume bit for bit, what a workdir refuses, what ends a run."""

import json
import shutil

import jax
import numpy as np
import pytest

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.training.history import read_history
from mmjax.training.init_from import init_from, read_weights
from mmjax.training.load import experiment_of, load
from mmjax.training.train import train
from mmjax.training.workdir import locked
from tests import tiny

TIMES = ("samples_per_second", "batch_time", "data_time", "data_wait_share", "flops_per_second")


def tiny_config(steps=12, **changes):
    config = tiny.get_config(str(steps))
    config.update_from_flattened_dict(changes)
    return config


def numbers_of(workdir):
    """Every logged number that is no measured time."""
    return [{k: v for k, v in row.items() if not k.endswith(TIMES)} for row in read_history(workdir)]


def assert_same_run(a, b):
    assert numbers_of(a) == numbers_of(b)
    (_, left), (_, right) = load(a), load(b)
    jax.tree.map(np.testing.assert_array_equal, left, right)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole")
    result = train(tiny_config(), workdir)
    assert result["step"] == 12 and result["stopped"] == ""
    return workdir


@pytest.fixture
def copy_of(whole_run, tmp_path):
    shutil.copytree(whole_run, tmp_path / "copy")
    return tmp_path / "copy"


def test_files_and_metrics_of_a_run(whole_run):
    names = {p.name for p in whole_run.iterdir()}
    assert {"config.json", "environment.json", "metrics.jsonl", "checkpoints", "report.html"} <= names
    rows = read_history(whole_run)
    assert [r["step"] for r in rows if "train/loss" in r] == list(range(1, 13))
    wanted = {"contrastive_loss", "loss", "logit_scale", "lr", "samples_per_second", "data_time", "batch_time"}
    assert {f"train/{k}" for k in wanted} <= rows[0].keys()
    last = rows[-1]
    assert {"val/unseen/image_to_text_R@1", "val_raw/unseen/text_to_image_median_rank"} <= last.keys()
    assert json.loads((whole_run / "environment.json").read_text())["data"].keys() == {"train", "unseen"}


def test_resumed_run_is_the_same_bit_for_bit(whole_run, copy_of):
    """As if killed after step 9: the checkpoint of step 8 is the newest, and the log goes beyond it."""
    shutil.rmtree(copy_of / "checkpoints" / "12")
    lines = (copy_of / "metrics.jsonl").read_text().splitlines()
    (copy_of / "metrics.jsonl").write_text("\n".join(lines[:9]) + "\n" + lines[9][:30])
    assert train(tiny_config(), copy_of)["step"] == 12
    assert_same_run(whole_run, copy_of)


def test_damaged_newest_checkpoint_is_trained_again(whole_run, copy_of, capsys):
    for file in (copy_of / "checkpoints" / "12").rglob("d/*"):
        file.write_bytes(b"no checkpoint")
    train(tiny_config(), copy_of)
    said = capsys.readouterr().err
    assert "checkpoint 12 is damaged" in said and "going on from step 8 of 12" in said
    assert_same_run(whole_run, copy_of)


def test_complete_run_says_so(copy_of, capsys):
    before = sorted(p.name for p in (copy_of / "checkpoints").iterdir())
    result = train(tiny_config(), copy_of)
    assert "this run is complete: 12 steps" in capsys.readouterr().err
    assert result["metrics"]["val/unseen/image_to_text_queries"] > 0
    assert sorted(p.name for p in (copy_of / "checkpoints").iterdir()) == before


def test_other_config_or_data_is_refused_with_the_difference(copy_of):
    with pytest.raises(UserError, match=r"another run:(.|\n)*duration: 12 steps -> 13 steps") as error:
        train(tiny_config(13), copy_of)
    assert "optimizer" not in str(error.value)
    changed = {"evaluations.unseen.source": "emoji:unseen"}
    with pytest.raises(UserError, match=r"data of unseen: \w+ -> \w+"):
        train(tiny_config(**changed), copy_of)
    assert train(tiny_config(**{"log.every": "3 steps"}), copy_of)["step"] == 12


def test_second_process_is_refused(tmp_path):
    with locked(tmp_path), pytest.raises(UserError, match="another process is writing"):
        train(tiny_config(), tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / ".lock"]


def test_workdir_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="the workdir cannot be written"):
        train(tiny_config(), tmp_path / "file" / "run")


def test_weights_of_another_run(whole_run, tmp_path, capsys):
    config = tiny_config(1, **{"init_from": str(whole_run), "embed_dim": 8, "optimizer.learning_rate": 0.0})
    train(config, tmp_path / "run")
    said = capsys.readouterr().err
    assert "not there: model/image_projection/kernel, which is (16, 16) there and (16, 8) here" in said
    (_, source), (_, state) = load(whole_run), load(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, source.ema["model"]["text"], state.params["model"]["text"])


def test_weights_of_nothing(tmp_path):
    with pytest.raises(UserError, match="no checkpoint there"):
        train(tiny_config(1, init_from=str(tmp_path)), tmp_path / "run")


def test_non_finite_loss_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    # Norms keep embeddings finite at any learning rate; a scale beyond float32 does not.
    config = tiny_config(**{"objectives.contrastive.temperature": 1e-38})
    config.objectives.contrastive.max_scale = float("inf")
    config.objectives.contrastive.temperature = 1e-39
    with pytest.raises(
        UserError, match=r"the loss is (nan|inf) at step 1(.|\n)*not finite(.|\n)*begins with the examples"
    ):
        train(config, tmp_path)
    assert not any(p.name.isdigit() for p in (tmp_path / "checkpoints").iterdir())


def test_vocabulary_that_does_not_fit_the_tokenizer(tmp_path):
    with pytest.raises(UserError, match="2048 tokens.*room for 100"):
        train(tiny_config(**{"towers.text.vocab_size": 100}), tmp_path)


def test_config_differences_ignore_nothing_else():
    assert config_lib.differences(tiny_config(), tiny_config(seed=1)) == ["seed: 0 -> 1"]


def test_a_tower_takes_the_weights_of_another_ones_name(whole_run, tmp_path):
    config = tiny_config(1, **{"init_from": str(whole_run), "optimizer.learning_rate": 0.0, "ema_decay": 0.0})
    config.towers.picture = config.towers.image
    del config.towers["image"]
    config.streams.image = "picture"
    lines = []
    experiment = experiment_of(config, examples=100)
    init_from(str(whole_run), experiment, log=lines.append)
    assert any(line.startswith("  not there: model/picture/") for line in lines)
    config.init_towers = (("image", "picture"),)
    lines.clear()
    state = init_from(str(whole_run), experiment_of(config, examples=100), log=lines.append)
    assert not any("picture" in line for line in lines)
    there = read_weights(str(whole_run))["model"]
    for name in ("image", "image_projection"):
        here = state.params["model"][name.replace("image", "picture")]
        jax.tree.map(np.testing.assert_array_equal, jax.device_get(here), there[name])
