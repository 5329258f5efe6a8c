"""Random crops of JPEGs by libjpeg-turbo and OpenCV: decoded no larger than wanted, and never converted."""

import functools
import io

import numpy as np
from PIL import Image

from mmjax.data.decoding.images import MOST_PIXELS, ORIENTATION
from mmjax.data.optional import optional

JPEG = b"\xff\xd8\xff"
COLOURS = ("YCbCr", "Gray")
SCALES = (8, 4, 2, 1)
# OpenCV's bicubic does not widen its kernel when it shrinks; from here on its mean over areas is nearer to Pillow's
# bicubic, which does (41.7 dB against 31.5 at 1.4, on photographs).
MOST_SHRUNK = 1.15


@functools.cache
def open_turbo():
    """OpenCV, once in each process; UserError with the install command where it or simplejpeg is missing."""
    optional("simplejpeg", "fast", 'decoder = "turbo"')
    cv2 = optional("cv2", "fast", 'decoder = "turbo"')
    cv2.setNumThreads(0)  # its own threads would take the cores from the step, and from the other reading threads
    return cv2


def crop_jpeg(data: bytes, crop, rng: np.random.Generator, size: int) -> np.ndarray | None:
    """A random part of a JPEG, resized to (size, size, 3) uint8; None for what is left to Pillow.

    That is all that is no JPEG, is broken or too large, has another colour space (CMYK), or is not upright.

    Args:
        data: any file.
        crop: an `augment.Crop`; the part is the one that it gives of the same picture and generator.
        rng: the generator of this row.
        size: height and width of the result.
    """
    sides = jpeg_size(data)
    if sides is None:
        return None
    box = crop.box(*sides, rng)
    scale = scale_for(box, size)
    pixels = decode_shrunk(data, *sides, scale)
    return None if pixels is None else resized_part(pixels, box, scale, size)


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG that `crop_jpeg` does not leave to Pillow."""
    import simplejpeg

    if not data.startswith(JPEG):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    usable = colours in COLOURS and width * height <= MOST_PIXELS and _is_upright(data)
    return (width, height) if usable else None


def _is_upright(data) -> bool:
    """Whether neither EXIF nor XMP, the two places that Pillow looks at, says that the picture is turned."""
    if b"Exif\0\0" not in data and b"tiff:Orientation" not in data:
        return True
    try:
        return Image.open(io.BytesIO(data), formats=("JPEG",)).getexif().get(ORIENTATION, 1) == 1
    except Exception:  # parsers of broken files raise whatever they meet; Pillow's decoding will say what is wrong
        return False


def scale_for(box: tuple[int, int, int, int], size: int) -> int:
    """The most that a picture can be shrunk while decoding, 1, 2, 4 or 8 times, so that `box` keeps `size` pixels."""
    left, top, right, bottom = box
    return next(scale for scale in SCALES if scale == 1 or min(right - left, bottom - top) >= scale * size)


def decode_shrunk(data: bytes, width: int, height: int, scale: int) -> np.ndarray | None:
    """The picture as (height / scale, width / scale, 3) uint8, rounded up; None if it is broken.

    These are the bits of Pillow, with `draft` where the scale is not 1: both use libjpeg-turbo.
    """
    import simplejpeg

    least = {"min_height": -(-height // scale), "min_width": -(-width // scale)}
    try:
        return simplejpeg.decode_jpeg(data, "RGB", min_factor=scale, **least)
    except ValueError:
        return None


def resized_part(pixels: np.ndarray, box, scale: int, size: int) -> np.ndarray:
    """The part `box` (left, top, right, bottom) of a picture of which `pixels` is 1 / scale, as (size, size, 3).

    Its edges are moved to whole pixels of `pixels`.
    """
    cv2 = open_turbo()
    left, top, right, bottom = (round(edge / scale) for edge in box)
    part = pixels[top:bottom, left:right]
    shrunk = max(part.shape[:2]) > MOST_SHRUNK * size
    return cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA if shrunk else cv2.INTER_CUBIC)
