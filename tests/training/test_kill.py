"""`mmjax train` killed or asked to stop at any moment, and started again, ends as if nothing had happened."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mmjax.training import loop
from mmjax.training.train import train
from tests import tiny
from tests.training.test_train import assert_same_run, tiny_config

COMMAND = [sys.executable, "-m", "mmjax.cli", "train"]
ROOT = Path(tiny.__file__).parent.parent


class Life:
    """One process that trains in `workdir`; `said()` is what it has written to the terminal so far."""

    def __init__(self, workdir: Path, number: int = 0, steps: int = 12):
        workdir.mkdir(exist_ok=True)
        self.workdir, self._log = workdir, workdir / f"said-{number}.txt"
        with open(self._log, "w") as log:
            command = [*COMMAND, f"--config=tests/tiny.py:{steps}", f"--workdir={workdir}"]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def said(self) -> str:
        return self._log.read_text()

    def until(self, reached) -> "Life":
        """Wait for `reached(self)`, which must come before the process ends."""
        try:
            while not reached(self):
                assert self.process.poll() is None, f"ended before the moment came:\n{self.said()}"
                time.sleep(0.002)
        except BaseException:
            self.process.kill()
            raise
        return self

    def end(self, number: int = 0) -> int:
        """Send a signal if one is given; the exit status."""
        if number:
            self.process.send_signal(number)
        try:
            return self.process.wait(120)
        finally:
            self.process.kill()


def step(number):
    return lambda life: f"step {number}/" in life.said()


def checkpoint(number):
    return lambda life: (life.workdir / "checkpoints" / str(number)).exists()


def saving(life):
    """A checkpoint is half written: its folder has not got its final name yet."""
    return any(not p.name.isdigit() for p in life.workdir.glob("checkpoints/*"))


def later(seconds):
    """So long after the first look."""
    begin = []

    def reached(life):
        begin.append(time.monotonic())
        return begin[-1] - begin[0] >= seconds

    return reached


def after(reached, seconds):
    """So long after another moment."""
    wait = later(seconds)
    return lambda life: reached(life) and wait(life)


def steps_of(workdir):
    return sorted(int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit())


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole")
    train(tiny_config(), workdir)
    return workdir


def test_killed_once(whole_run, tmp_path):
    life = Life(tmp_path / "run").until(lambda life: checkpoint(4)(life) and step(7)(life))
    assert life.end(signal.SIGKILL) == -signal.SIGKILL
    assert 12 not in steps_of(tmp_path / "run")
    assert train(tiny_config(), tmp_path / "run")["step"] == 12
    assert_same_run(whole_run, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
def test_killed_at_many_moments(whole_run, tmp_path, seed):
    """Start-up and compilation at random moments, steps, saves, the last evaluation, the report."""
    rng = np.random.default_rng(seed)
    begin = time.monotonic()
    Life(tmp_path / "timed").until(step(1)).end(signal.SIGKILL)
    to_first_step = time.monotonic() - begin
    moments = [later(to_first_step * rng.uniform(0.05, 0.95)) for _ in range(4)]
    moments += [step(rng.integers(1, 4)), saving, step(rng.integers(6, 9))]
    moments += [after(step(12), rng.uniform(0, 0.2)), saving, checkpoint(12)]
    for number, moment in enumerate(moments):
        assert Life(tmp_path / "run", number).until(moment).end(signal.SIGKILL) == -signal.SIGKILL
    assert not (tmp_path / "run" / "report.html").exists()
    last = Life(tmp_path / "run", len(moments))
    assert last.end() == 0, last.said()
    assert (tmp_path / "run" / "report.html").exists()
    assert not [p for p in (tmp_path / "run" / "checkpoints").iterdir() if not p.name.isdigit()]
    assert_same_run(whole_run, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop(whole_run, tmp_path, number):
    life = Life(tmp_path / "run").until(step(2))
    assert life.end(number) == 0, life.said()
    stopped = re.search(rf"stopped by {number.name} after step (\d+); the same command goes on from there", life.said())
    done = int(stopped[1])
    assert steps_of(tmp_path / "run")[-1] == done < 12
    last = Life(tmp_path / "run", 1)
    assert last.end() == 0 and f"going on from step {done} of 12" in last.said()
    assert_same_run(whole_run, tmp_path / "run")


def test_stops_at_the_very_step_of_the_signal_and_goes_on(whole_run, tmp_path, monkeypatch):
    """SIGTERM in step 3, then SIGINT in step 7."""
    for number, at in ((signal.SIGTERM, 3), (signal.SIGINT, 7)):
        raise_at(monkeypatch, at, number)
        result = train(tiny_config(), tmp_path)
        assert (result["step"], result["stopped"]) == (at, number.name)
        assert steps_of(tmp_path)[-1] == at and not (tmp_path / "report.html").exists()
    monkeypatch.undo()
    train(tiny_config(), tmp_path)
    assert_same_run(whole_run, tmp_path)


def test_second_interrupt_stops_at_once_and_leaves_the_last_checkpoint_whole(tmp_path, monkeypatch):
    raise_at(monkeypatch, 5, signal.SIGINT, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config(), tmp_path)
    assert steps_of(tmp_path) == [4]


def raise_at(monkeypatch, step, *numbers):
    """The next run gets these signals in one of its steps."""
    write = loop.History.write

    def write_and_raise(self, done, metrics):
        write(self, done, metrics)
        if done == step:
            for number in numbers:
                signal.raise_signal(number)

    monkeypatch.setattr(loop.History, "write", write_and_raise)
