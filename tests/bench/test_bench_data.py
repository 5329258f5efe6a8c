"""`mmjax bench data`: what it counts, against what is known; processes seen with what they have started."""

import json
import subprocess
import sys
import time

import pytest

from mmjax import cli
from mmjax.bench import data as bench
from mmjax.bench.processes import family, processor_seconds, resident_mib, rest
from mmjax.bench.timing import Child
from tests import tiny
from tests.data.shards import pairs, write_tar

TARS = """
from mmjax import config as c
from tests import tiny

def get_config(arg):
    config = tiny.get_config("3")
    config.batch_size, config.data.image_size, config.data.context = 8, 32, 16
    config.data.source, config.data.captions = arg, (("{txt}", 1.0),)
    config.data.augment.crop = c.augment("crop")
    return config
"""


@pytest.fixture
def config_file(tmp_path):
    (tmp_path / "own.py").write_text(TARS)
    return f"{tmp_path}/own.py:{write_tar(tmp_path / 'a.tar', pairs(40))}"


def test_from_the_command_line(config_file, tmp_path, capsys):
    argv = ["bench", "data", f"--config={config_file}", "--workers=0,1", "--batches=6", "--repeats=2", "--json"]
    assert cli.main(argv) == 0
    said = capsys.readouterr().out
    result = json.loads(said.splitlines()[-1])
    assert result["source"].endswith("a.tar") and result["streams"] == ["image", "text"]
    assert result["batch_size"] == 8 and 0.05 < result["decode_share"] < 1
    rows = 32 * 32 * 3 + 16 * 4 + 16 + 4  # picture, ids, their mask, id
    assert result["batch_mb"] == pytest.approx(8 * rows / 1e6, rel=0.01)
    assert result["sample_kb"] == pytest.approx((tmp_path / "a.tar").stat().st_size / 40 / 1e3, rel=0.15)
    assert list(result["workers"]) == ["0", "1"]
    for side in result["workers"].values():
        rate = side["samples_per_second"]
        assert rate > 20 and side["cpu_seconds_per_sample"] >= 0
        assert side["read_mb_per_second"] == pytest.approx(rate * result["sample_kb"] / 1e3)
        assert side["batch_mb_per_second"] == pytest.approx(rate * result["batch_mb"] / 8)
    alone, together = (side["resident_mib"] for side in result["workers"].values())
    assert 30 < alone < together, "a worker process has a memory of its own"
    assert "workers  samples/s" in said and "\n      1 " in said


def test_decoding_is_timed_and_the_watch_taken_away(monkeypatch):
    from mmjax.data.samples import Sample

    apply = Sample.apply
    side = bench.Side(tiny_config(), 0, 1)

    def slow(self, decode, member):
        begin = time.thread_time()
        while time.thread_time() - begin < 0.005:
            pass
        return apply(self, decode, member)

    quick = side.about()["decode_share"]
    monkeypatch.setattr(Sample, "apply", slow)
    assert side.about()["decode_share"] > max(0.8, quick)
    assert Sample.apply is slow


def tiny_config() -> str:
    from mmjax.config import to_json

    config = tiny.get_config("3")
    config.data.cache = 0
    return to_json(config)


SPIN = "import time; end = time.process_time() + 0.5\nwhile time.process_time() < end: pass\n"


def test_the_family_of_a_process_is_counted():
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '''{SPIN}input()''']).wait()"
    before, memory = processor_seconds(), resident_mib()
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        deadline = time.monotonic() + 20
        while processor_seconds() - before < 0.5 and time.monotonic() < deadline:
            time.sleep(0.05)
        rest()
        child_and_its_own = family(child.pid)
        assert len(child_and_its_own) == 2 and set(child_and_its_own) < set(family())
        assert 0.5 <= processor_seconds() - before < 5
        assert resident_mib() > memory + 5
        child.stdin.close()
    assert child.pid not in family()


def test_a_child_is_told_to_end_and_ends_its_own(tmp_path):
    """Killed, it would leave its own child behind; that writes when the child's input ends."""
    code = f"import sys\nfor line in sys.stdin: print('{{}}', flush=True)\nopen({str(tmp_path / 'ended')!r}, 'w')"
    with Child("side", [sys.executable, "-c", code], {}) as child:
        assert child.ask("anything") == {}
        assert not (tmp_path / "ended").exists()
    assert (tmp_path / "ended").exists()
