"""Decoding and resizing on pictures whose pixels are known."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from shards import picture

from mmjax.data.images import MOST_PIXELS, RESIZE, decode
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
