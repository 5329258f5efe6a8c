"""The benchmark of loading: its shards are the same every time, and its sides do the work and report it."""

import gzip
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from benchmarks import data_loading, photo_shards
from benchmarks.data_loading import result_of
from benchmarks.photo_shards import SIDE, make_shards


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "pictures").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "pictures" / "a.png")
    return str(tmp_path / "pictures")


@pytest.mark.parametrize("given", [True, False], ids=["photographs", "emoji"])
def test_shards(tmp_path, pictures, given, monkeypatch):
    monkeypatch.setattr(photo_shards, "PER_TAR", 2)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        about = make_shards(tmp_path / name, 3, pictures if given else "")
    assert about["tars"] == 2 and about["samples"] == 3
    for tar in ("00000.tar", "00001.tar"):
        assert (tmp_path / "one" / tar).read_bytes() == (tmp_path / "other" / tar).read_bytes()
    with tarfile.open(tmp_path / "one" / "00000.tar") as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
    assert list(members) == [f"{n:09d}.{ending}" for n in range(2) for ending in ("jpg", "txt", "json")]
    image = Image.open(io.BytesIO(members["000000001.jpg"]))
    assert image.size == (SIDE, SIDE) and image.format == "JPEG"
    assert members["000000000.jpg"] != members["000000001.jpg"]
    assert json.loads(members["000000001.json"])["caption"] == members["000000001.txt"].decode()
    assert 5_000 < about["mean_jpeg_bytes"] < 60_000


def test_mmjaxs_sides(tmp_path, pictures, monkeypatch, capsys):
    monkeypatch.setattr(data_loading, "BATCH", 8)
    vocabulary = tmp_path / "bpe.txt.gz"
    vocabulary.write_bytes(gzip.compress(b"#version\nt h\nth e</w>\n"))
    flags = [f"--pictures={pictures}", f"--vocabulary={vocabulary}", "--samples=40", "--turns=1", "--batches=60"]
    monkeypatch.setattr("sys.argv", ["data_loading", *flags, "--workers", "0"])
    data_loading.main()
    found = json.loads(capsys.readouterr().out)
    assert found["benchmark"] == "data_loading" and found["shards"]["samples"] == 40
    sides = found["workers"]["0"]
    assert sides.keys() == {"turbo", "pillow"}
    for side in sides.values():
        assert side["images_per_second"]["median"] > 10 and side["resident_mib"] > 30
    assert found["decode_only"]["images_per_second_of_a_core"] > 50


def test_medians_and_ratios_of_a_round():
    """Three rounds in which open_clip takes 4 s, then 8 s, then 4 s, and mmjax 1 s, 1 s and 2 s."""

    def turn(seconds):
        return {"samples": 100, "seconds": seconds, "cpu_seconds": 2 * seconds, "resident_mib": 10 * seconds}

    times = {"turbo": (1, 1, 2), "pillow": (2, 2, 2), "open_clip": (4, 8, 4), "open_clip_uint8": (3, 3, 3)}
    rounds = [{"decode": 0.005} | {(name, 2): turn(of[n]) for name, of in times.items()} for n in range(3)]
    args = type("Arguments", (), {"torch_python": "python", "workers": [2]})
    found = result_of(rounds, args)
    assert found["decode_only"]["images_per_second_of_a_core"] == pytest.approx(200)
    side = found["workers"]["2"]
    assert side["turbo"]["images_per_second"] == {"median": 100, "min": 50, "max": 100, "n": 3}
    assert side["turbo"]["cpu_ms_an_image"] == pytest.approx(20)
    assert side["turbo"]["decode_share_of_cpu"] == pytest.approx(0.25)
    assert side["turbo_to_open_clip"] == {"median": 4, "min": 2, "max": 8, "n": 3}
    assert side["pillow_to_open_clip_uint8"]["median"] == pytest.approx(1.5)
