"""Animated Fluent emoji, from packages made up after the published ones: which clips, which labels, which splits."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image
from shards import picture

from mmjax.data import emoji
from mmjax.data.sources import open_source
from mmjax.data.sources.fluent_animated import labels_of, moves
from mmjax.errors import UserError


def clip(frames: int, side: int = 8) -> bytes:
    """A WebP animation of plain frames, each brighter than the one before."""
    out = io.BytesIO()
    images = [Image.new("RGB", (side, side), (20 * n, 0, 9)) for n in range(frames)]
    images[0].save(out, "WEBP", save_all=True, append_images=images[1:], duration=40, lossless=True)
    return out.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mmjax"


def some(split):
    return sorted(labels_of(split))[0]


def package_files():
    """Of one concept of three splits a clip, of another of "train" a picture that does not move, and a stranger."""
    names = {some(split): clip(4) for split in ("train", "style", "unseen")}
    names[sorted(labels_of("train"))[1]] = picture(1, "webp")
    return {f"{key.zfill(4)}-fe0f": data for key, data in names.items()} | {"1fffe": clip(3)}


def write_package(folder, files):
    with tarfile.open(folder / "lobehub-fluent-emoji-anim-1-1.0.0.tgz", "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"package/assets/{name}.webp")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return folder


@pytest.mark.parametrize("packed", [True, False])
def test_clips_that_move_with_labels_in_28_languages(tmp_path, packed):
    folder = tmp_path / "npm"
    folder.mkdir()
    if packed:
        write_package(folder, package_files())
    else:
        (folder / "package" / "assets").mkdir(parents=True)
        for name, data in package_files().items():
            (folder / "package" / "assets" / f"{name}.webp").write_bytes(data)
    source = open_source(f"fluent-animated:train,path={folder}")
    assert len(source) == 1 and source.members(0) == ("json", "webp")
    raw = source[0]
    assert raw["__key__"] == some("train") and raw["webp"] == clip(4)
    assert set(json.loads(raw["json"])["label"]) == set(emoji.LANGUAGES)
    assert Image.open(io.BytesIO(raw["webp"])).n_frames == 4


def test_splits_are_those_of_the_still_pictures(tmp_path):
    folder = write_package(tmp_path, package_files())
    keys = {split: open_source(f"fluent-animated:{split},path={folder}")[0]["__key__"] for split in ("style", "unseen")}
    assert keys == {"style": some("style"), "unseen": some("unseen")}
    everything = [set(labels_of(split)) for split in emoji.SPLITS]
    assert len(set.union(*everything)) == sum(map(len, everything)) == 841 + 373 + 217 + 90 + 78


def test_packages_are_unpacked_once_and_again_when_they_change(tmp_path, cache):
    folder = write_package(tmp_path, package_files())
    first = open_source(f"fluent-animated:train,path={folder}").fingerprint()
    (tar,) = cache.glob("fluent-animated-*/train.tar")
    written = tar.stat().st_mtime_ns
    assert open_source(f"fluent-animated:train,path={folder}").fingerprint() == first
    assert tar.stat().st_mtime_ns == written
    write_package(folder, package_files() | {some("train"): clip(6)})
    assert open_source(f"fluent-animated:train,path={folder}").fingerprint() != first
    assert len(list(cache.glob("fluent-animated-*/train.tar"))) == 2


def test_what_moves():
    assert moves(clip(2)) and moves(clip(13))
    assert not moves(picture(0, "webp")) and not moves(picture(0, "png")) and not moves(b"") and not moves(b"RIFF")
    assert moves(clip(5)[:200]), "cut off after its second frame"
    assert not moves(b"RIFF" + bytes(4) + b"WEBP" + b"ANMF" + (2**32 - 1).to_bytes(4, "little"))


def test_what_holds_no_clips(tmp_path):
    with pytest.raises(UserError, match="no path of the clips"):
        open_source("fluent-animated:train")
    with pytest.raises(UserError, match="no animated Fluent emoji there") as error:
        open_source(f"fluent-animated:train,path={tmp_path}")
    assert "npm pack" in error.value.remedy
    with pytest.raises(UserError, match="no split 'test'"):
        open_source(f"fluent-animated:test,path={tmp_path}")
    write_package(tmp_path, {some("train"): clip(3)})
    with pytest.raises(UserError, match="no clip of the split 'unseen' there"):
        open_source(f"fluent-animated:unseen,path={tmp_path}")


def test_a_torn_package(tmp_path):
    rng = np.random.default_rng(0)
    files = {some("train"): clip(3), "1fffe": rng.bytes(20000)}
    package = write_package(tmp_path, files) / "lobehub-fluent-emoji-anim-1-1.0.0.tgz"
    package.write_bytes(package.read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot read the package"):
        open_source(f"fluent-animated:train,path={tmp_path}")


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    folder = tmp_path / "npm"
    folder.mkdir()
    write_package(folder, package_files())
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot write the clips"):
        open_source(f"fluent-animated:train,path={folder}")
