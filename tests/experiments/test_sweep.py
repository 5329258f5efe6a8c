"""`mmjax sweep`: nothing twice, failures told at the end, another sweep's folder refused, killed and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mmjax import cli
from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.experiments import sweep as sweep_module
from mmjax.experiments.fingerprint import parameters_hash
from mmjax.experiments.jobs import resolve
from mmjax.experiments.processes import Outcome
from mmjax.experiments.sweep import FINISHED, is_finished, sweep
from mmjax.training.train import train
from tests import tiny
from tests.experiments.fake_runs import fake_run

TEMPERATURE = "objectives.contrastive.temperature"
CELLS = {"a": {}, "b": {TEMPERATURE: 0.1}}
DONE = {"step": 12, "stopped": "", "metrics": {}}


def write_file(tmp_path, cells=CELLS, seeds=(0, 1), steps=12):
    file = tmp_path / "mine.py"
    file.write_text(
        "from mmjax import config as c\nfrom tests import tiny\n"
        f"def get_config(arg=''):\n    return tiny.get_config(arg or '{steps}')\n"
        f"def get_sweep():\n    return c.sweep({cells!r}, seeds={seeds!r}, baseline={next(iter(cells))!r})\n"
    )
    return str(file)


@pytest.fixture
def started(monkeypatch):
    """Replaces the processes: every run ends at once, as `endings` says by its name, or well; gives the names."""
    names, endings = [], {}

    def run_all(commands, processes, ended, stop):
        for command in commands:
            names.append(command.name)
            result = endings.get(command.name, DONE)
            folder = fake_run(command.log.parent, finished=False)
            (folder / "config.json").write_text(config_lib.to_json(resolve(command.argv[1:-1])))
            ended(command, Outcome(result, "" if result else "mmjax: no room", 1.0))

    monkeypatch.setattr(sweep_module, "run_all", run_all)
    return names, endings


def test_every_cell_runs_once_seed_by_seed(tmp_path, started):
    names, _ = started
    file = write_file(tmp_path)
    assert sweep(file, tmp_path / "run")["finished"] == 4
    assert names == ["a seed 0", "b seed 0", "a seed 1", "b seed 1"]
    assert json.loads((tmp_path / "run/a/seed_0" / FINISHED).read_text()) == {"step": 12}
    assert sweep(file, tmp_path / "run") | {"seconds": 0} == {"runs": 4, "finished": 4, "seconds": 0}
    assert len(names) == 4


def test_some_cells_now_and_the_others_later(tmp_path, started):
    names, _ = started
    file = write_file(tmp_path)
    assert sweep(file, tmp_path / "run", only=["b"], seeds=["1"])["finished"] == 1
    sweep(file, tmp_path / "run", only=["b"])
    sweep(write_file(tmp_path, CELLS | {"c": {TEMPERATURE: 0.2}}, seeds=(0, 1, 2)), tmp_path / "run", seeds=[1, 2])
    assert names == ["b seed 1", "b seed 0", "a seed 1", "c seed 1", "a seed 2", "b seed 2", "c seed 2"]


def test_failures_are_told_at_the_end_and_run_again(tmp_path, started, capsys):
    names, endings = started
    file = write_file(tmp_path)
    endings |= {"b seed 0": None, "a seed 1": DONE | {"stopped": "SIGTERM"}}
    with pytest.raises(UserError) as error:
        sweep(file, tmp_path / "run")
    assert "2 of 4 runs failed" in str(error.value) and "b seed 0: mmjax: no room" in str(error.value)
    assert "a seed 1: stopped by SIGTERM from outside" in str(error.value)
    assert str(tmp_path / "run/b/seed_0/log.txt") in str(error.value)
    assert names == ["a seed 0", "b seed 0", "a seed 1", "b seed 1"]
    endings.clear()
    assert cli.main(["sweep", f"--config={file}", f"--workdir={tmp_path}/run"]) == 0
    assert names[4:] == ["b seed 0", "a seed 1"]
    assert "2 of 4 runs are finished already" in capsys.readouterr().err


def test_a_run_that_needs_another_one(tmp_path, started):
    names, _ = started
    file = write_file(tmp_path, {"a": {}, "b": {"init_from": "{workdir}/a/seed_{seed}"}})
    with pytest.raises(UserError, match="b seed 1 needs a seed 1, which has not run"):
        sweep(file, tmp_path / "run", only=["b"], seeds=[1])
    assert names == [] and not (tmp_path / "run").exists()
    sweep(file, tmp_path / "run", only=["a"])
    sweep(file, tmp_path / "run", only=["b"])
    assert names == ["a seed 0", "a seed 1", "b seed 0", "b seed 1"]


@pytest.mark.parametrize(
    ("changes", "says", "where"),
    [
        ({"evaluations.unseen.source": "nowhere.tar"}, "nowhere.tar", "evaluations.unseen.source"),
        ({"data.source": "emoji:trian"}, "trian", "data.source"),
        ({"evaluations.unseen.streams": ("image", "tekst")}, "'tekst' does not exist", "evaluations.unseen.streams"),
        ({"evaluations.unseen.captions": "{label"}, "template", "evaluations.unseen"),
        ({"evaluations.unseen.every": "often"}, "not a duration", "evaluations.unseen.every"),
    ],
)
def test_what_is_wrong_with_the_last_cell_is_told_before_the_first_runs(changes, says, where, tmp_path, started):
    with pytest.raises(UserError, match=says) as error:
        sweep(write_file(tmp_path, CELLS | {"last": changes}), tmp_path / "run")
    assert error.value.where.startswith("cell 'last'; ") and f"config.{where}" in error.value.where
    assert not started[0] and not (tmp_path / "run").exists()


def test_a_source_of_finished_runs_may_be_gone(tmp_path, started, monkeypatch):
    file = write_file(tmp_path)
    sweep(file, tmp_path / "run")
    monkeypatch.setattr(sweep_module, "open_key", lambda config, key: pytest.fail("opened"))
    assert sweep(file, tmp_path / "run")["finished"] == 4


def test_a_signal_ends_the_sweep_as_interrupted(tmp_path, monkeypatch, capsys):
    def run_all(commands, processes, ended, stop):
        signal.raise_signal(signal.SIGTERM)
        assert stop() == "SIGTERM"

    monkeypatch.setattr(sweep_module, "run_all", run_all)
    assert cli.main(["sweep", f"--config={write_file(tmp_path)}", f"--workdir={tmp_path}/run"]) == 130
    assert "the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cells": {"a": {}}}, "cell 'b': gone"),
        ({"seeds": (0,)}, "seed 1: gone"),
        ({"steps": 20}, "a seed 0: duration: 12 steps -> 20 steps"),
        ({"cells": {"a": {"embed_dim": 8}, "b": {}}}, "a seed 0: embed_dim: 16 -> 8"),
    ],
)
def test_the_folder_of_another_sweep(tmp_path, started, change, said):
    sweep(write_file(tmp_path), tmp_path / "run", only=["a"])
    with pytest.raises(UserError, match="belongs to another sweep") as error:
        sweep(write_file(tmp_path, **change), tmp_path / "run")
    assert said in str(error.value)


def test_a_damaged_record_and_another_file(tmp_path, started):
    file = write_file(tmp_path)
    sweep(file, tmp_path / "run", only=["a"])
    record = tmp_path / "run" / "sweep.json"
    text = record.read_text()
    record.write_text(text.replace("mine.py", "yours.py"))
    with pytest.raises(UserError, match="yours.py"):
        sweep(file, tmp_path / "run")
    for damaged in ("", "[]", "{}"):
        record.write_text(damaged)
        with pytest.raises(UserError, match="sweep.json"):
            sweep(file, tmp_path / "run")


def test_a_dry_run_counts_and_trains_nothing(tmp_path, capsys):
    file = write_file(tmp_path, {"a": {}, "wide": {"towers.image.width": 32}}, seeds=(0, 1, 2))
    result = sweep(file, tmp_path / "run", dry_run=True)
    heading, narrow, wide, total = capsys.readouterr().out.splitlines()
    assert heading.split("  ")[0] == "cell" and narrow.split()[:4] == ["a", "3", "12", "16"]
    assert int(wide.split()[4].replace(",", "")) > int(narrow.split()[4].replace(",", ""))
    flops = sum(3 * 12 * float(line.split()[5]) for line in (narrow, wide))
    assert result == {"runs": 6, "flops": pytest.approx(flops, rel=0.01)} and total.startswith("6 runs, ")
    assert not (tmp_path / "run").exists()


def test_the_hash_is_of_the_parameters_alone(tmp_path):
    a, b, c = (fake_run(tmp_path / str(i), bits=bits) for i, bits in enumerate((1, 1, 2)))
    assert parameters_hash(a) == parameters_hash(b) != parameters_hash(c)
    assert len(parameters_hash(a)) == 12
    assert parameters_hash(a, 4) == parameters_hash(tmp_path / "none") == ""


def test_this_process_leaves_the_devices_alone(tmp_path):
    """A TPU belongs to one process: were it this one, no run could have it."""
    code = (
        "import sys; from mmjax.experiments import sweep\n"
        "sweep.run_all = lambda *_: None\n"
        "sweep.sweep(sys.argv[1], sys.argv[2])\n"
        "from jax._src import xla_bridge; assert not xla_bridge._backends"
    )
    argv = [sys.executable, "-c", code, write_file(tmp_path), str(tmp_path / "run")]
    done = subprocess.run(argv, cwd=os.path.dirname(os.path.dirname(tiny.__file__)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_killed_in_a_run_and_gone_on_with(tmp_path):
    """SIGKILL of the sweep ends its run too; the next goes on from the checkpoint, to the same bits."""
    file, run = write_file(tmp_path, {"a": {}}, seeds=(0,), steps=60), tmp_path / "run"
    command = [sys.executable, "-m", "mmjax.cli", "sweep", f"--config={file}", f"--workdir={run}"]
    root = os.path.dirname(os.path.dirname(tiny.__file__))
    life = subprocess.Popen(command, cwd=root)
    try:
        while not any(p.name.isdigit() for p in run.glob("a/seed_0/checkpoints/*")):  # whole, not half written
            assert life.poll() is None
            time.sleep(0.01)
    finally:
        life.kill()
        life.wait()
    assert not is_finished(run / "a/seed_0")
    assert subprocess.run(command, cwd=root).returncode == 0
    assert "going on from step" in (run / "a/seed_0/log.txt").read_text()
    config = tiny.get_config("60")
    train(config, tmp_path / "whole")
    assert parameters_hash(run / "a/seed_0") == parameters_hash(tmp_path / "whole")
