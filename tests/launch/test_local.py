"""launch/local.sh: the processes it starts, their output, failures and signals; `mmjax` is a stand-in in PATH."""

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

LOCAL = Path(__file__).parents[2] / "launch" / "local.sh"


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts local.sh with a stand-in for mmjax whose body is given; `$id` is its process id."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def start(*arguments, body=""):
        stand_in = tmp_path / "mmjax"
        stand_in.write_text(f"#!/usr/bin/env bash\nid=${{@: -1}}; id=${{id#*=}}\n{body}\n")
        stand_in.chmod(0o755)
        pipe = subprocess.PIPE
        # Tests that run in the background of a shell ignore SIGINT, and what they start could not trap it.
        command = ["env", "--default-signal=INT", "bash", LOCAL, *arguments]
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path)

    return start


def finish(process, seconds=20):
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, out, err


def wait_for(*paths: Path):
    deadline = time.monotonic() + 10
    while not all(path.exists() for path in paths):
        assert time.monotonic() < deadline, f"{paths} did not appear"
        time.sleep(0.02)


def wait_until_gone(pids):
    deadline = time.monotonic() + 10
    for pid in pids:
        status = Path(f"/proc/{pid}/status")
        # A dead process stays as a zombie where nobody takes its exit status.
        while status.exists() and "zombie" not in status.read_text():
            assert time.monotonic() < deadline, f"process {pid} goes on"
            time.sleep(0.05)


def test_dry_run_prints_each_command_and_runs_none(start, tmp_path):
    process = start("--dry-run", "--logs=some logs", "2", "--", "train", "--config=a b.py", body="touch ran")
    status, out, _ = finish(process)
    first, second = out.splitlines()
    port = re.search(r"127\.0\.0\.1:(\d+)", first)[1]
    common = ["mmjax", "train", "--config=a b.py", f"--coordinator=127.0.0.1:{port}", "--num_processes=2"]
    assert status == 0
    assert shlex.split(first) == [*common, "--process_id=0", "&"]
    assert shlex.split(second) == [*common, "--process_id=1", ">", "some logs/process-1.log", "2>&1", "&"]
    assert 1024 <= int(port) <= 65535
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "some logs").exists()


def test_processes_agree_on_the_coordinator_and_only_the_first_writes_to_the_terminal(start, tmp_path):
    status, out, _ = finish(start("--logs=logs", "3", "--", "train", "--x=1 2", body='printf "<%s>" "$@"; echo'))
    assert status == 0
    assert not (tmp_path / "logs/process-0.log").exists()
    lines = [out, *((tmp_path / f"logs/process-{i}.log").read_text() for i in (1, 2))]
    for i, line in enumerate(lines):
        assert line.startswith("<train><--x=1 2><--coordinator=127.0.0.1:")
        assert line.endswith(f"<--num_processes=3><--process_id={i}>\n")
    assert len({re.search(r"127\.0\.0\.1:\d+", line)[0] for line in lines}) == 1


def test_the_first_failure_stops_the_others_and_gives_the_status(start, tmp_path):
    body = (
        "if ((id == 1)); then until [[ -s child-0 && -s child-2 ]]; do sleep 0.05; done; echo broken; exit 7; fi\n"
        "echo $$ >parent-$id; sleep 60 & echo $! >child-$id; wait"
    )
    status, _, err = finish(start("--logs=logs", "3", "--", "train", body=body))
    assert status == 7
    assert "process 1 failed with status 7" in err
    assert "broken" in err  # the end of its log
    wait_until_gone(int((tmp_path / f"{kind}-{i}").read_text()) for kind in ("parent", "child") for i in (0, 2))


def test_a_failure_of_the_process_on_the_terminal_is_named_too(start):
    status, _, err = finish(start("2", "--", "train", body="if ((id == 0)); then exit 2; fi; exec sleep 60"))
    assert (status, "process 0 failed with status 2" in err) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_every_process_once_and_they_may_stop_in_peace(start, tmp_path, number):
    name = number.name.removeprefix("SIG")
    body = f'trap "echo {name} >>got-$id; sleep 0.5; exit 0" {name}; touch up-$id; while :; do sleep 0.05; done'
    process = start("--logs=logs", "2", "--", "train", body=body)
    wait_for(tmp_path / "up-0", tmp_path / "up-1")
    process.send_signal(number)
    status, _, err = finish(process)
    assert status == 0, err
    assert [(tmp_path / f"got-{i}").read_text() for i in (0, 1)] == [f"{name}\n"] * 2


def test_after_a_stop_signal_a_slow_save_is_waited_for_though_another_process_failed(start, tmp_path):
    body = (
        'trap "((id == 1)) && exit 9; sleep 1.5; touch saved; exit 0" TERM\ntouch up-$id; while :; do sleep 0.05; done'
    )
    process = start("--logs=logs", "2", "--", "train", body=body)
    wait_for(tmp_path / "up-0", tmp_path / "up-1")
    process.terminate()
    status, _, _ = finish(process)
    assert status == 9
    assert (tmp_path / "saved").exists()


def test_each_process_sees_one_gpu(start, monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    _, out, _ = finish(start("--dry-run", "2", "--", "train"))
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["env", "CUDA_VISIBLE_DEVICES=4", "mmjax"],
        ["env", "CUDA_VISIBLE_DEVICES=6", "mmjax"],
    ]
    status, _, err = finish(start("--dry-run", "4", "--", "train"))
    assert (status, "4 processes, but 3 GPUs" in err) == (2, True)


@pytest.mark.parametrize("arguments", [[], ["2"], ["2", "--"], ["0", "--", "train"], ["--fast", "2", "--", "train"]])
def test_wrong_arguments_print_the_usage(start, arguments):
    status, out, err = finish(start(*arguments))
    assert (status, out) == (2, "")
    assert "launch/local.sh [--dry-run] [--logs=DIR] N --" in err
