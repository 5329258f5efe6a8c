"""Reading ahead: bounded in threads and results, and no worker process outlives what it reads for."""

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from shards import pairs, settings, write_tar, write_tokenizer

from mmjax.bench.processes import family
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.read_ahead import SECONDS_BETWEEN_LOOKS, read_ahead

ENDLESS = """
import time
from types import SimpleNamespace
from mmjax.data.read_ahead import read_ahead

if __name__ == "__main__":
    numbers = read_ahead(abs, range(10**9), SimpleNamespace(threads=2, workers=2), 4)
    print(next(numbers), flush=True)
    time.sleep(60)
"""


def test_worker_processes_end_when_their_reader_is_killed(tmp_path):
    (tmp_path / "endless.py").write_text(ENDLESS)
    with subprocess.Popen([sys.executable, str(tmp_path / "endless.py")], stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "0\n"
        started = family(reader.pid)[1:]
        assert len(started) >= 2
        os.kill(reader.pid, signal.SIGKILL)
        reader.wait()
        deadline = time.monotonic() + 10 * SECONDS_BETWEEN_LOOKS
        while any(map(running, started)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not any(map(running, started))


def running(number: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_as_many_as_told(threads):
    at_work, most, lock = [0], [0], threading.Lock()

    def function(number):
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        time.sleep(0.01)
        with lock:
            at_work[0] -= 1
        return number

    numbers = read_ahead(function, range(40), SimpleNamespace(threads=threads, workers=0), 8)
    assert list(numbers) == list(range(40))
    assert most[0] == threads


def test_a_mixture_of_thirty_sources_reads_with_the_threads_of_one(tmp_path):
    """Counted while batches are made: the threads of this process, and those of its workers, none for a source."""
    paths = [write_tar(tmp_path / f"{n}.tar", pairs(8, first=10 * n)) for n in range(30)]
    tokenizer = write_tokenizer(tmp_path / "t.json")
    counts = {}
    for name, mixture in (("one", {}), ("thirty", {f"part{n:02d}": {"source": path} for n, path in enumerate(paths)})):
        data = settings(paths[0], tokenizer, mixture=mixture, threads=3)
        batches = TrainPipeline(data, ("image", "text"), 0, 8 if name == "one" else 60).iterate()
        for _ in range(4):
            next(batches)
        counts[name] = threading.active_count()
        batches.close()
    assert counts["thirty"] == counts["one"]


# In a process of its own: in one that ran other tests, what they left behind grows and shrinks.
MILLION = """
import sys
from shards import settings
from mmjax.bench.processes import resident_mib
from mmjax.data.pipeline import TrainPipeline

data = settings(sys.argv[1], "emoji", context=16, cache=1)
batches = TrainPipeline(data, ("text",), 0, 2000).iterate()
for step in range(500):
    next(batches)
    if step in (49, 499):
        print(resident_mib())
batches.close()
"""


@pytest.mark.slow
def test_a_million_samples_take_no_more_memory_than_a_hundred_thousand(tmp_path):
    members = [(f"{n}.txt", f"a red cat and {n} dogs".encode()) for n in range(4000)]
    command = [sys.executable, "-c", MILLION, write_tar(tmp_path / "a.tar", members)]
    environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    before, after = map(float, done.stdout.split())
    assert after - before < 16
