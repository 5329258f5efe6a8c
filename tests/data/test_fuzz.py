"""Files with mutated bytes never do more than fail: no crash, no hang, no memory beyond a bound.

Each format is read in a process of its own, so that a decoder's crash is seen; a failure names the mutation.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing import FORMATS

FUZZING = Path(__file__).with_name("fuzzing.py")
QUICK = ("jpeg", "wav", "tar", "csv", "npy-clip", "json")


def fuzz(tmp_path, kind: str, first: int, count: int) -> dict:
    """What came of mutations `first`, `first` + 1, ... of a format."""
    log = tmp_path / kind
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(FUZZING), kind, str(first), str(count), str(log)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    number = log.read_text().strip() if log.exists() else "none"
    assert done.returncode == 0, f"{kind}, mutation {number}: status {done.returncode}\n{done.stderr[-3000:]}"
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", QUICK)
def test_a_few_mutations(tmp_path, kind):
    found = fuzz(tmp_path, kind, 0, 60)
    assert found["value"] + found["refused"] == 60
    assert found["refused"] > 0, "nothing was broken"


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_ten_thousand_mutations(tmp_path, kind):
    count = -(-10_000 // len(FORMATS))
    found = fuzz(tmp_path, kind, 1000, count)
    assert found["value"] + found["refused"] == count
    assert found["refused"] > 0, "nothing was broken"


def test_a_reading_that_hangs_crashes_or_raises_is_seen(tmp_path):
    """The watch itself: readers that do what must not be, in the place of a format's own."""
    for reader, said in {
        "lambda data: [0 for _ in iter(int, 1)]": "Timeout",
        "lambda data: os.abort()": "Aborted",
        "lambda data: data.missing": "AttributeError",
        "lambda data: bytes(2**34)": "MemoryError",
    }.items():
        code = (
            f"import sys; sys.path.insert(0, {str(FUZZING.parent)!r}); import faulthandler, os, fuzzing;"
            f"calls = []; bad = {reader}; fuzzing.SECONDS = 1; faulthandler.enable();"
            "read = lambda data: calls.append(0) or (bad(data) if len(calls) > 3 else 0);"
            f"fuzzing.FORMATS['bad'] = (lambda: b'x' * 9, read); fuzzing.main('bad', 5, 9, {str(tmp_path / 'log')!r})"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode != 0 and said in done.stderr, (reader, done.stderr[-500:])
        assert (tmp_path / "log").read_text().strip() == "7"
