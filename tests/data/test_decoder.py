"""data.decoder = "turbo": the crops of Pillow, from the same pixels, and Pillow for all that is no plain JPEG."""

import io
import sys

import numpy as np
import pytest
from PIL import Image
from shards import assert_batches_equal, settings, write_tar, write_tokenizer

from mmjax.data.augments import Crop, Flip
from mmjax.data.decoding import turbo
from mmjax.data.decoding.images import decode, mirrored
from mmjax.data.decoding.turbo import crop_jpeg, decode_shrunk, jpeg_size, resized_part, scale_for
from mmjax.data.pipeline import TrainPipeline
from mmjax.errors import UserError
from mmjax.rng import numpy_generator


def waves(width=320, height=240) -> Image.Image:
    """A smooth picture, of other content everywhere, the same at any size."""
    x, y = np.meshgrid(np.linspace(0, 320, width), np.linspace(0, 240, height))
    channels = [np.sin(x / 23) * np.cos(y / 17), np.sin((x + y) / 31), np.cos(x / 41 - y / 13)]
    return Image.fromarray((np.stack(channels, -1) * 120 + 128).astype(np.uint8))


def jpeg(image, **options) -> bytes:
    with io.BytesIO() as out:
        image.save(out, "JPEG", **({"quality": 90} | options))
        return out.getvalue()


def random(number: int) -> np.random.Generator:
    return numpy_generator(0, "test", number)


@pytest.mark.parametrize("size", [(320, 240), (321, 239), (33, 17)])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}])
def test_the_decoded_bits_are_pillows(size, options):
    data = jpeg(waves().resize(size), **options)
    assert jpeg_size(data) == size
    np.testing.assert_array_equal(decode_shrunk(data, *size, 1), np.asarray(decode(data)))
    for scale in (2, 4, 8):
        draft = Image.open(io.BytesIO(data))
        draft.draft("RGB", (size[0] // scale, size[1] // scale))
        wanted = np.asarray(draft)
        if wanted.shape[:2] == (-(-size[1] // scale), -(-size[0] // scale)):
            np.testing.assert_array_equal(decode_shrunk(data, *size, scale), wanted)


def test_grey_jpegs():
    data = jpeg(waves().convert("L"))
    np.testing.assert_array_equal(decode_shrunk(data, 320, 240, 1), np.asarray(decode(data)))


@pytest.mark.parametrize(
    ("box", "size", "scale"),
    [
        ((0, 0, 100, 100), 64, 1),
        ((0, 0, 128, 128), 64, 2),
        ((0, 0, 127, 300), 64, 1),
        ((10, 10, 400, 300), 64, 4),  # 290 / 64 = 4.5
        ((0, 0, 5000, 5000), 64, 8),
        ((0, 0, 30, 30), 64, 1),
    ],
)
def test_scale_keeps_the_pixels_that_are_wanted(box, size, scale):
    assert scale_for(box, size) == scale


@pytest.mark.parametrize("scale", [(0.9, 1.0), (0.08, 0.3), (0.3, 1.0)])
@pytest.mark.parametrize("sides", [(320, 240), (1200, 900)])
def test_crops_are_pillows_but_for_the_kernel(scale, sides):
    """The same parts, but that their edges are whole pixels of the reduced picture."""
    data, crop = jpeg(waves(*sides)), Crop(scale)
    for number in range(8):
        ours = crop_jpeg(data, crop, random(number), 64).astype(int)
        drawn = crop.box(*sides, random(number))
        step = scale_for(drawn, 64)
        box = [min(round(edge / step) * step, side) for edge, side in zip(drawn, sides * 2, strict=True)]
        pillows = np.asarray(decode(data).resize((64, 64), Image.Resampling.BICUBIC, box=box)).astype(int)
        assert ours.shape == (64, 64, 3)
        assert np.abs(ours - pillows).mean() < 1.5
        beside = np.abs(pillows[:, 1:] - pillows[:, :-1]).mean()
        assert beside > 1.5, "a part one pixel beside it would be seen"


def test_a_shrunk_part_is_averaged():
    """A chequered pattern of single pixels becomes grey; the nearest pixels would give black or white."""
    pixels = np.indices((200, 200)).sum(0)[..., None].repeat(3, -1) % 2 * 255
    part = resized_part(pixels.astype(np.uint8), (0, 0, 200, 200), 1, 64)
    assert np.abs(part.astype(int) - 127).max() < 35


def test_the_same_draws_follow_a_crop():
    generators = random(1), random(1)
    crop_jpeg(jpeg(waves()), Crop(), generators[0], 32)
    Crop()(waves(), generators[1], 32)
    assert generators[0].random() == generators[1].random()


def turned():
    tags = Image.Exif()
    tags[0x0112] = 3
    return tags


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize(
    "data",
    [
        jpeg(waves().convert("CMYK")),
        jpeg(waves(), exif=turned()),
        jpeg(waves(), xmp=XMP),
        jpeg(waves())[:1000],
        b"",
        b"\xff\xd8\xff",
        b"no picture",
    ],
    ids=["cmyk", "exif", "xmp", "cut", "empty", "header", "text"],
)
def test_what_is_left_to_pillow(data):
    assert crop_jpeg(data, Crop(), random(0), 32) is None


def test_an_upright_exif_is_not(monkeypatch):
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = 1, "camera"
    data = jpeg(waves(), exif=tags)
    assert crop_jpeg(data, Crop(), random(0), 32) is not None
    monkeypatch.setattr(turbo, "MOST_PIXELS", 320 * 240 - 1)
    assert crop_jpeg(data, Crop(), random(0), 32) is None


def test_flips_of_pixels_and_pictures():
    pixels = np.asarray(waves(5, 3))
    np.testing.assert_array_equal(mirrored(pixels), pixels[:, ::-1])
    np.testing.assert_array_equal(np.asarray(mirrored(waves(5, 3))), pixels[:, ::-1])
    np.testing.assert_array_equal(Flip(1.0)(pixels, random(0), 3), pixels[:, ::-1])


def pipeline(tmp_path, kind="JPEG", **changes):
    members = []
    for n in range(16):
        with io.BytesIO() as out:
            waves(96 + n, 80).save(out, kind, **({"quality": 95} if kind == "JPEG" else {}))
            members += [(f"{n}.{kind.lower()}", out.getvalue()), (f"{n}.txt", b"a red cat")]
    path = write_tar(tmp_path / "a.tar", members)
    augment = {"crop": {"kind": "crop"}, "flip": {"kind": "flip"}}
    options = {"image_size": 48, "augment": augment, "cache": 0} | changes
    return TrainPipeline(settings(path, write_tokenizer(tmp_path / "t.json"), **options), ("image", "text"), 0, 8)


FURTHER = {"affine": {"kind": "affine"}, "color": {"kind": "color"}}


@pytest.mark.parametrize("further", [{}, FURTHER], ids=["crop and flip", "and more"])
def test_batches_are_nearly_alike_and_flips_the_same(tmp_path, further):
    augment = {"crop": {"kind": "crop"}, "flip": {"kind": "flip"}} | further
    fast, slow = (pipeline(tmp_path, decoder=name, augment=augment) for name in ("turbo", "pillow"))
    for step in range(2):
        ours, theirs = fast.batch(step), slow.batch(step)
        assert ours.keys() == theirs.keys()
        difference = np.abs(ours["image"].astype(int) - theirs["image"]).mean((1, 2, 3))
        assert (difference < 2).all() and (difference > 0).any(), "another kernel, the same parts"
        np.testing.assert_array_equal(ours["text"], theirs["text"])


def test_other_formats_and_uncropped_pictures_are_pillows_to_the_bit(tmp_path):
    for kind, augment in (("PNG", None), ("JPEG", {"flip": {"kind": "flip"}})):
        changes = {"augment": augment} if augment else {}
        fast, slow = (pipeline(tmp_path, kind, decoder=name, **changes) for name in ("turbo", "pillow"))
        assert_batches_equal(fast.batch(1), slow.batch(1))


def test_workers_change_nothing(tmp_path):
    alone, together = pipeline(tmp_path, decoder="turbo"), pipeline(tmp_path, decoder="turbo", workers=1)
    batches = together.iterate(1)
    for step in (1, 2):
        assert_batches_equal(next(batches), alone.batch(step))
    batches.close()


def test_the_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    turbo.open_turbo.cache_clear()
    with pytest.raises(UserError, match="simplejpeg") as error:
        pipeline(tmp_path, decoder="turbo")
    assert error.value.remedy == "pip install 'mmjax[fast]'"
