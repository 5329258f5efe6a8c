"""Two processes started by launch/local.sh train as one: same losses, same metrics, and one may go on alone."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mmjax.training.history import read_history
from tests import tiny

ROOT = Path(tiny.__file__).parent.parent
TINY = "tests/tiny.py:12"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts `mmjax train` on a workdir in so many processes, each with one device; what they say goes to a file."""
    logs = tmp_path_factory.mktemp("logs")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "TMPDIR": str(logs),
    }

    def start(workdir, processes, *flags, config=TINY):
        command = ["train", f"--config={config}", f"--workdir={workdir}", *flags]
        command = ["launch/local.sh", str(processes), "--", *command] if processes > 1 else ["mmjax", *command]
        said = logs / f"{workdir.name}-{processes}.txt"
        with open(said, "w") as out:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT), said

    return start


def end(process, said) -> str:
    """Wait for exit status 0; what was said."""
    try:
        status = process.wait(240)
    finally:
        process.terminate()
    assert status == 0, said.read_text()
    return said.read_text()


@pytest.fixture(scope="module")
def alone(start, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("alone")
    end(*start(workdir, 1))
    return workdir


def assert_same_numbers(one, other):
    """Every loss and norm to 1e-5, every evaluated metric too; but for measured times."""
    times = ("samples_per_second", "batch_time", "data_time", "data_wait_share", "flops_per_second")
    one, other = read_history(one), read_history(other)
    assert [row.keys() for row in one] == [row.keys() for row in other]
    for left, right in zip(one, other, strict=True):
        for name in left:
            if not name.endswith(times):
                np.testing.assert_allclose(left[name], right[name], rtol=1e-5, err_msg=f"{name} at {left['step']}")


def test_two_processes_with_a_ring_between_them_give_the_numbers_of_one(start, alone, tmp_path):
    flags = ("--config.objectives.contrastive.impl=ring", "--config.microbatches=2")
    said = end(*start(tmp_path, 2, *flags))
    assert said.count("step 7/12") == 1, "only the first process speaks"
    assert_same_numbers(alone, tmp_path)
    assert (tmp_path / "report.html").exists()
    assert end(*start(tmp_path, 2, *flags)).count("this run is complete") == 1


def test_one_process_goes_on_with_what_two_began(start, alone, tmp_path):
    process, said = start(tmp_path, 2)
    while "step 3/12" not in said.read_text():
        assert process.poll() is None, said.read_text()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    stopped = re.search(r"stopped by (SIGTERM|a signal to another process) after step (\d+)", end(process, said))
    last = max(int(p.name) for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit())
    assert last == int(stopped[2]) < 12
    assert f"going on from step {last} of 12" in end(*start(tmp_path, 1))
    assert_same_numbers(alone, tmp_path)


def test_evaluations_by_scores_of_tokens_words_and_descents_give_the_numbers_of_one(start, tmp_path):
    """Token, group, lexical and inverted retrieval and overlaps of codes, the model's parameters split over both."""
    one, two = tmp_path / "one", tmp_path / "two"
    end(*start(one, 1, config="tests/scored.py"))
    end(*start(two, 2, "--config.mesh.fsdp=2", "--config.mesh.data=1", config="tests/scored.py"))
    measured = {name.split("/")[1] for name in read_history(one)[-1] if name.startswith("val/")}
    assert measured == {"filip", "fdt", "groups", "codes", "words", "inverted"}
    assert_same_numbers(one, two)


def test_what_ends_one_process_ends_both_at_once(start, alone, tmp_path):
    """A source that none of them finds, and a workdir that only the first one looks into."""
    missing, said = start(tmp_path, 2, "--config.evaluations.unseen.source=gone.tar")
    assert missing.wait(60) == 2 and "check config.evaluations.unseen.source" in said.read_text()
    other, said = start(alone, 2, "--config.optimizer.learning_rate=0.5")
    assert other.wait(60) == 2 and "optimizer.learning_rate: 0.001 -> 0.5" in said.read_text()
