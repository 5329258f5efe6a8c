"""Broken data through the pipeline: each case is replaced by other samples, always the same, and counted by its
reason, or refused with the file, the member and a remedy."""

import io
import json
import os
import struct
import tarfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from media import npy, ramp
from PIL import Image
from shards import WORDS, assert_batches_equal, pairs, picture, settings, write_tar, write_tokenizer

from mmjax.data.captions import MOST_CHARACTERS
from mmjax.data.pipeline import TrainPipeline
from mmjax.errors import UserError

COUNT, BATCH, BAD = 24, 8, 5
STREAMS = ("image", "text")


def encoded(image, kind, **options) -> bytes:
    with io.BytesIO() as out:
        image.save(out, kind, **options)
        return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that says it has this many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100)))


def float_wav(samples: np.ndarray) -> bytes:
    data = samples.astype("<f4").tobytes()
    head = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 3, 1, 8000, 32000, 4, 32, b"data", len(data))
    return b"RIFF" + struct.pack("<I", len(head) + len(data) + 4) + b"WAVE" + head + data


def sample(number: int, **members: bytes) -> list[tuple[str, bytes]]:
    """A sample of a picture, a caption and a sound, some put in another way or (None) left out."""
    whole = {"png": picture(number), "txt": b"a red cat", "wav": ramp(number, 40)} | members
    return [(f"{number:04d}.{ending}", data) for ending, data in whole.items() if data is not None]


def data_of(tmp_path, source: str, **changes):
    audio = SimpleNamespace(sample_rate=8000, seconds=0.005, crop="random")
    options = {"audio_keys": (), "audio": audio, "audio_augment": {}, "max_unreadable": 1.0, "augment": {}}
    return settings(source, write_tokenizer(tmp_path / "tokenizer.json"), **(options | changes))


def an_epoch(data, streams=STREAMS, count=COUNT):
    """(pipeline, its batches of an epoch), which another one gives too, asked in another order."""
    pipeline, other = TrainPipeline(data, streams, 0, BATCH), TrainPipeline(data, streams, 0, BATCH)
    batches = [pipeline.batch(step) for step in range(count // BATCH)]
    for step in reversed(range(count // BATCH)):
        assert_batches_equal(other.batch(step), batches[step])
    assert other.unreadable.reasons == pipeline.unreadable.reasons
    return pipeline, batches


JPEG = encoded(Image.effect_noise((64, 64), 50), "JPEG")
REPLACED = {
    "picture of no bytes": ({"png": b""}, "image does not decode"),
    "half a jpeg": ({"png": None, "jpg": JPEG[: len(JPEG) // 2]}, "image does not decode"),
    "half a png": ({"png": picture(1, size=(64, 64))[:-30]}, "image does not decode"),
    "a web page for a picture": ({"png": b"<html>404 not found</html>"}, "image does not decode"),
    "decompression bomb": ({"png": bomb(2**14, 2**13)}, "image has too many pixels"),
    "larger bomb": ({"png": bomb(2**31 - 1, 2**31 - 1)}, "image does not decode"),
    "no picture": ({"png": None}, "no picture in the sample"),
    "no caption": ({"txt": None}, "no caption field txt"),
    "caption of no bytes": ({"txt": b""}, "caption is empty"),
    "blank caption": ({"txt": b" \n\t"}, "caption is empty"),
    "caption in another encoding": ({"txt": "café".encode("latin-1")}, "caption is not UTF-8"),
    "broken json": ({"json": b'{"a": '}, "json member is no JSON object"),
    "json that is no object": ({"json": b"[1]"}, "json member is no JSON object"),
    "json of many brackets": ({"json": b"[" * 100_000}, "json member is no JSON object"),
    "sound of no bytes": ({"wav": b""}, "sound does not decode"),
    "sound with a NaN": (
        {"wav": float_wav(np.array([0, np.nan, 0]))},
        "sound has samples that are no finite amplitude",
    ),
    "false length in a sound's header": (
        {"wav": ramp(0, 40)[:40] + struct.pack("<I", 2**20) + ramp(0, 40)[44:]},
        "sound is cut off",
    ),
    "no sound": ({"wav": None}, "no sound in the sample"),
}


@pytest.mark.parametrize("case", REPLACED)
def test_replaced_by_the_same_others_and_counted(tmp_path, case):
    members, reason = REPLACED[case]
    tar = [m for n in range(COUNT) for m in sample(n, **(members if n == BAD else {}))]
    pipeline, batches = an_epoch(data_of(tmp_path, write_tar(tmp_path / "a.tar", tar)), (*STREAMS, "audio"))
    ids = [set(batch["id"].tolist()) for batch in batches]
    assert set.union(*ids) == {*range(COUNT)} - {BAD} and all(len(rows) == BATCH for rows in ids)
    assert pipeline.unreadable.reasons == {reason: 1}
    assert pipeline.unreadable.metrics() == {f"data/unreadable/{reason}": 1.0}
    (fault,) = pipeline.unreadable.examples
    assert fault.url == str(tmp_path / "a.tar") and fault.key == f"{BAD:04d}"


def test_past_the_share_the_run_stops_and_names_files(tmp_path):
    tar = [m for n in range(COUNT) for m in sample(n, **({"png": b""} if n in (3, 4) else {}))]
    source = write_tar(tmp_path / "a.tar", tar)
    pipeline = TrainPipeline(data_of(tmp_path, source, max_unreadable=0.001), STREAMS, 0, BATCH)
    with pytest.raises(UserError) as error:
        for step in range(COUNT // BATCH):
            pipeline.batch(step)
    assert "2 unreadable samples among" in error.value.what and "2 x image does not decode" in error.value.what
    assert f"{source} [0003]" in error.value.where and "png" in error.value.where
    assert "config.data.max_unreadable (now 0.001)" in error.value.remedy


def turned() -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = 6  # to be shown rotated by 90 degrees clockwise
    return tags


def two_coloured() -> Image.Image:
    image = Image.new("RGB", (16, 16), "black")
    image.paste("white", (0, 0, 16, 8))
    return image


ANIMATION = {"save_all": True, "append_images": [Image.new("RGB", (8, 8), "blue")]}
# Odd, but whole: a picture, and what its middle pixels must be, (row, column) -> (R, G, B).
ODD = {
    "CMYK": (encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100), {(4, 4): (255, 0, 0)}),
    "16 bits": (encoded(Image.fromarray(np.full((8, 8), 128 * 256, np.uint16)), "PNG"), {(4, 4): (128, 128, 128)}),
    "animated": (encoded(Image.new("RGB", (8, 8), "red"), "GIF", **ANIMATION), {(4, 4): (255, 0, 0)}),
    "turned by EXIF": (
        encoded(two_coloured(), "JPEG", exif=turned(), quality=100),
        {(4, 1): (0, 0, 0), (4, 6): (255, 255, 255)},  # what was above is to the right
    ),
}


@pytest.mark.parametrize("decoder", ["pillow", "turbo"])
@pytest.mark.parametrize("case", ODD)
def test_odd_pictures_are_read(tmp_path, case, decoder):
    data, pixels = ODD[case]
    tar = [m for n in range(COUNT) for m in sample(n, **({"png": data} if n == BAD else {}))]
    changes = {"decoder": decoder, "augment": {"crop": {"kind": "crop", "scale": (0.999, 1.0), "ratio": (1.0, 1.0)}}}
    pipeline, batches = an_epoch(data_of(tmp_path, write_tar(tmp_path / "a.tar", tar), **changes))
    assert not pipeline.unreadable.reasons
    (found,) = [batch["image"][row] for batch in batches for row in np.flatnonzero(batch["id"] == BAD)]
    for (row, column), colour in pixels.items():
        assert np.abs(found[row, column].astype(int) - colour).max() < 24, (row, column)


def test_a_caption_of_a_megabyte_is_cut(tmp_path):
    tar = [m for n in range(COUNT) for m in sample(n, **({"txt": b"cat " * 2**18} if n == BAD else {}))]
    pipeline, batches = an_epoch(data_of(tmp_path, write_tar(tmp_path / "a.tar", tar)))
    assert not pipeline.unreadable.reasons
    cat = 4 + WORDS.index("cat")
    (ids,) = [batch["text"][row] for batch in batches for row in np.flatnonzero(batch["id"] == BAD)]
    np.testing.assert_array_equal(ids, [1, cat, cat, cat, cat, 2])
    (caption,) = [row["text"].text for _, row in pipeline.examples(0, range(BATCH)) if len(row["text"].text) > 20] or [
        next(r["text"].text for s in (1, 2) for _, r in pipeline.examples(s, range(BATCH)) if len(r["text"].text) > 20)
    ]
    assert len(caption) == MOST_CHARACTERS


def test_a_bad_row_of_a_table(tmp_path):
    rows = [f"{n}.png\ta red cat" for n in range(COUNT)]
    rows[BAD] = "5.png\ta red\tcat"  # a tab too many
    rows[7] = "gone.png\ta red cat"
    for n in range(COUNT):
        (tmp_path / f"{n}.png").write_bytes(picture(n))
    table = tmp_path / "a.csv"
    table.write_text("\n".join(["filepath\ttitle", *rows]))
    data = data_of(tmp_path, str(table), captions=(("{title}", 1.0),))
    pipeline, batches = an_epoch(data)
    assert {n for batch in batches for n in batch["id"].tolist()} == {*range(COUNT)} - {BAD, 7}
    assert pipeline.unreadable.reasons.total() == 2 and pipeline.unreadable.reasons["file cannot be read"] == 1
    told = " ".join(map(str, pipeline.unreadable.examples))
    assert str(table) in told and "line 7" in told and "gone.png" in told


def test_a_parquet_file_without_a_column_is_refused(tmp_path):
    columns = {"image": [picture(n) for n in range(COUNT)], "title": ["a red cat"] * COUNT}
    parquet.write_table(pa.table(columns), tmp_path / "0.parquet")
    parquet.write_table(pa.table({"image": columns["image"]}), tmp_path / "1.parquet")
    with pytest.raises(UserError, match="no column 'title'") as error:
        TrainPipeline(data_of(tmp_path, str(tmp_path / "*.parquet")), STREAMS, 0, BATCH)
    assert str(tmp_path / "1.parquet") in error.value.where and error.value.remedy


def outside(name):
    return [*pairs(3), (name, picture(1))]


REFUSED = {
    "cut off": (
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "damaged tar",
        "copy or write the shard",
    ),
    "no tar": (lambda path: path.write_bytes(b"<html>" * 1000), "not a tar", "leave it out"),
    "member above its folder": (
        lambda path: write_tar(path, outside("../../x.png")),
        r"'../../x.png' leaves the archive's folder",
        "do not trust",
    ),
    "member from the root": (
        lambda path: write_tar(path, outside("/etc/x.png")),
        r"'/etc/x.png' leaves the archive's folder",
        "do not trust",
    ),
    "pyd": (lambda path: write_tar(path, outside("9.pyd")), "'9.pyd' is a pickle", "npy"),
    "pickle": (lambda path: write_tar(path, outside("9.tags.pickle")), "'9.tags.pickle' is a pickle", "npy"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_tars_that_are_refused(tmp_path, case):
    """Of two, so that the message must name the right one."""
    change, said, remedy = REFUSED[case]
    for name in ("0.tar", "1.tar"):
        write_tar(tmp_path / name, pairs(COUNT))
    change(tmp_path / "1.tar")
    with pytest.raises(UserError, match=said) as error:
        TrainPipeline(data_of(tmp_path, str(tmp_path / "{0..1}.tar")), STREAMS, 0, BATCH)
    assert str(tmp_path / "1.tar") in error.value.where and remedy in error.value.remedy
    assert not list(tmp_path.rglob("x.png")), "nothing was unpacked"


def test_links_in_a_tar_are_never_followed(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    path = write_tar(tmp_path / "a.tar", pairs(COUNT))
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("000000001.secret.txt")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.txt")
        tar.addfile(link)
    pipeline = TrainPipeline(data_of(tmp_path, path), STREAMS, 0, BATCH)
    assert len(pipeline.source) == COUNT
    assert all(b"secret" not in bytes(m) for n in range(COUNT) for m in map(str.encode, pipeline.source.members(n)))


def test_a_pickled_array_is_never_loaded(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was loaded"),)

    evil = npy(np.array([Evil()], object))
    series = SimpleNamespace(steps=4, channels=1, crop="random")
    good = npy(np.arange(6.0))
    tar = [m for n in range(COUNT) for m in sample(n, npy=evil if n == BAD else good)]
    data = data_of(tmp_path, write_tar(tmp_path / "a.tar", tar), series=series, series_keys=())
    pipeline, _ = an_epoch(data, (*STREAMS, "series"))
    assert pipeline.unreadable.reasons == {"npy array of Python objects": 1}
    assert not (tmp_path / "was loaded").exists()


def test_an_index_older_than_the_data_is_made_anew(tmp_path):
    path = tmp_path / "a.tar"
    data = data_of(tmp_path, write_tar(path, pairs(COUNT)))
    before = TrainPipeline(data, STREAMS, 0, BATCH)
    write_tar(path, pairs(COUNT + 8, first=100))
    os.utime(path, ns=(1, 1))
    after = TrainPipeline(data, STREAMS, 0, BATCH)
    assert len(before.source) == COUNT and len(after.source) == COUNT + 8
    assert before.fingerprint() != after.fingerprint(), "a resumed run would see that the data has changed"
    assert after.source[0]["__key__"] == "000000100"
    after.batch(0)
    assert not after.unreadable.reasons


def test_a_shard_that_disappears_in_mid_run(tmp_path):
    for n in range(3):
        write_tar(tmp_path / f"{n}.tar", pairs(COUNT, first=COUNT * n))
    data = data_of(tmp_path, str(tmp_path / "*.tar"))
    pipeline, strict = (TrainPipeline(data, STREAMS, 0, BATCH) for _ in range(2))
    strict.unreadable.limit = 0.01
    os.remove(tmp_path / "1.tar")
    batches = [pipeline.batch(step) for step in range(3 * COUNT // BATCH)]
    there = {*range(COUNT), *range(2 * COUNT, 3 * COUNT)}
    assert {n for batch in batches for n in batch["id"].tolist()} == there
    assert pipeline.unreadable.reasons.keys() == {"the shard cannot be read"}
    assert {fault.url for fault in pipeline.unreadable.examples} == {str(tmp_path / "1.tar")}
    with pytest.raises(UserError, match="the shard cannot be read") as error:
        for step in range(3 * COUNT // BATCH):
            strict.batch(step)
    assert str(tmp_path / "1.tar") in error.value.where


def test_a_shard_that_is_cut_in_mid_run(tmp_path):
    path = Path(write_tar(tmp_path / "a.tar", pairs(COUNT)))
    pipeline = TrainPipeline(data_of(tmp_path, str(path)), STREAMS, 0, BATCH)
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)
    for step in range(COUNT // BATCH):
        assert (pipeline.batch(step)["id"] < COUNT // 2 + 1).all()
    assert pipeline.unreadable.reasons.keys() == {"the shard has changed or is damaged"}


def test_json_lines_with_a_bad_line(tmp_path):
    rows = [json.dumps({"file_name": f"{n}.png", "title": "a red cat"}) for n in range(COUNT)]
    rows[BAD] = '{"file_name": "5.png", "title": '
    for n in range(COUNT):
        (tmp_path / f"{n}.png").write_bytes(picture(n))
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    pipeline, batches = an_epoch(data_of(tmp_path, str(tmp_path / "a.jsonl"), captions=(("{title}", 1.0),)))
    assert {n for batch in batches for n in batch["id"].tolist()} == {*range(COUNT)} - {BAD}
    assert pipeline.unreadable.reasons.total() == 1
    assert "line 6" in str(pipeline.unreadable.examples[0])
