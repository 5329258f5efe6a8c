"""Decoding and resizing on pictures whose pixels are known."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from shards import picture

from mmjax.data.decoding.images import MOST_PIXELS, RESIZE, decode
from mmjax.data.unreadable import Unreadable


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["png", "webp", "bmp", "gif", "tiff"])
def test_decodes_exactly(kind):
    image = decode(picture(5, kind, (6, 4)))
    assert image.mode == "RGB"
    assert image.size == (6, 4)
    assert (np.asarray(image) == (5, 0, 7)).all()


def test_alpha_lands_on_white():
    half = Image.new("RGBA", (2, 2), (200, 0, 0, 102))  # 0.4 of the colour, 0.6 of white
    assert (np.asarray(decode(encoded(half))) == (233, 153, 153)).all()
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([9, 9, 9] * 256)
    assert (np.asarray(decode(encoded(palette, transparency=0))) == 255).all()
    grey = Image.new("LA", (2, 2), (50, 0))
    assert (np.asarray(decode(encoded(grey))) == 255).all()


def test_other_modes():
    deep = Image.fromarray(np.full((2, 2), 128 * 256 + 3, np.uint16))
    assert (np.asarray(decode(encoded(deep))) == 128).all()
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    red = np.asarray(decode(encoded(cmyk, "JPEG", quality=100))).astype(int)
    assert np.abs(red - (255, 0, 0)).max() < 8
    assert (np.asarray(decode(encoded(Image.new("1", (2, 2), 1)))) == 255).all()


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    for kind in ("GIF", "WEBP"):
        data = encoded(
            frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
        )
        assert (np.asarray(decode(data)) == (255, 0, 0)).all()


def test_exif_turns_the_picture_upright():
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 32, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: to be shown rotated by 90 degrees clockwise
    upright = decode(encoded(image, "JPEG", exif=exif, quality=95))
    assert upright.size == (16, 32)
    pixels = np.asarray(upright)[..., 0]
    assert pixels[:, :6].max() < 50
    assert pixels[:, 10:].min() > 200


def png_of_size(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(100)))
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not decode"),
        (b"GIF89a nonsense", "does not decode"),
        (picture(1, "jpeg", (64, 64))[:400], "does not decode"),
        (picture(1)[:40], "does not decode"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "does not decode"),
        (png_of_size(2**13, 2**13 + 1), "too many pixels"),
        (png_of_size(2**16, 2**16), "does not decode"),
    ],
)
def test_broken_pictures_have_a_reason(data, reason):
    with pytest.raises(Unreadable, match=reason):
        decode(data)


def test_bytes_at_random_never_do_more_than_fail():
    rng = np.random.default_rng(0)
    originals = [picture(3, kind, (24, 24)) for kind in ("png", "jpeg", "webp", "gif")]
    for number in range(400):
        data = bytearray(originals[number % 4])
        for place in rng.integers(0, len(data), 3):
            data[place] = rng.integers(256)
        try:
            assert decode(bytes(data)).width * decode(bytes(data)).height <= MOST_PIXELS
        except Unreadable as fault:
            assert fault.reason


def test_center_crop_takes_the_middle():
    pixels = np.zeros((8, 24, 3), np.uint8)
    pixels[:, 8:16] = 255
    assert (np.asarray(RESIZE["crop"](Image.fromarray(pixels), 8)) == 255).all()
    assert RESIZE["crop"](Image.new("RGB", (301, 200)), 64).size == (64, 64)
    assert RESIZE["crop"](Image.new("RGB", (3, 500)), 64).size == (64, 64)


def test_squash_keeps_everything():
    pixels = np.zeros((8, 24, 3), np.uint8)
    pixels[:, 12:] = 255
    squashed = np.asarray(RESIZE["squash"](Image.fromarray(pixels), 8))
    assert squashed.shape == (8, 8, 3)
    assert squashed[:, :3].max() < 30
    assert squashed[:, 5:].min() > 225


@pytest.mark.parametrize("size", [(8, 24), (24, 8), (5, 300), (8, 8), (1, 900)])
def test_pad_keeps_everything_in_the_middle(size):
    padded = np.asarray(RESIZE["pad"](Image.new("RGB", size, "black"), 16))
    assert padded.shape == (16, 16, 3)
    long = 16 * min(size) / max(size)
    inside = (padded[..., 0] < 128).sum(0 if size[0] > size[1] else 1)
    assert inside.max() == inside.min() == max(1, round(long))
    assert (np.asarray(RESIZE["pad"](Image.new("RGB", (16, 16), (1, 2, 3)), 16)) == (1, 2, 3)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_upright(orientation):
    """The upright picture is brighter to the right and redder downwards; what is stored is turned as the value says."""
    x, y = np.meshgrid(np.arange(32) * 8, np.arange(16) * 16)
    upright = np.stack([y, x, x], -1).astype(np.uint8)
    undone = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undone[orientation](upright)))
    np.testing.assert_array_equal(np.asarray(decode(encoded(stored, "PNG", exif=exif))), upright)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_broken_exif_costs_nothing():
    data = encoded(
        Image.new("RGB", (16, 16), "red"), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff junk", quality=95
    )
    assert np.abs(np.asarray(decode(data)).astype(int) - (254, 0, 0)).max() < 4


def test_sixteen_bits_a_channel():
    """Pillow has no such mode and writes none: a PNG by hand, whose values are 256 times those that are expected."""
    row = b"\x00" + struct.pack(">6H", 256 * 200, 256 * 100, 0, 256 * 7, 256 * 255, 256)
    data = png_of_size(2, 1).replace(struct.pack(">BB", 8, 2), struct.pack(">BB", 16, 2), 1)
    header = data[12:29]
    body = zlib.compress(row)
    data = (
        data[:8]
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", len(body))
        + b"IDAT"
        + body
        + struct.pack(">I", zlib.crc32(b"IDAT" + body))
        + struct.pack(">I", 0)
        + b"IEND"
        + struct.pack(">I", zlib.crc32(b"IEND"))
    )
    assert np.asarray(decode(data)).tolist() == [[[200, 100, 0], [7, 255, 1]]]


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif", "bmp", "tiff"])
def test_half_a_picture_is_none(kind):
    rng = np.random.default_rng(0)
    whole = encoded(Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)), kind)
    assert decode(whole).size == (64, 64)
    with pytest.raises(Unreadable, match="does not decode"):
        decode(whole[: len(whole) // 2])


def test_half_a_progressive_jpeg_is_none():
    rng = np.random.default_rng(0)
    whole = encoded(Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)), "jpeg", progressive=True)
    with pytest.raises(Unreadable, match="does not decode"):
        decode(whole[: len(whole) // 2])
