"""Bytes to pictures: decoded with a size limit, upright, on white, resized as evaluation needs them."""

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from mmjax.data.unreadable import Unreadable

# Pillow knows some fifty formats, some of which start other programs; these decode in process. Importing them here
# matters too: Pillow's own importing at first use is not safe with threads.
DECODERS = (JpegImageFile, PngImageFile, WebPImageFile, GifImageFile, BmpImageFile, TiffImageFile)
FORMATS = tuple(decoder.format for decoder in DECODERS)
MOST_PIXELS = 2**26
WHITE = (255, 255, 255)
ORIENTATION = 0x0112


def decode(data: bytes) -> Image.Image:
    """An RGB picture: the first frame of an animation, turned upright by its EXIF, alpha blended onto white.

    Raises:
        Unreadable: not a picture, cut off, or of more than MOST_PIXELS pixels.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MOST_PIXELS:
            raise Unreadable("image has too many pixels", f"{image.width} x {image.height}")
        image.load()
        if image.getexif().get(ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
        return decode_rgb(image)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable("image does not decode", f"none of {', '.join(FORMATS)}") from error
    # Broken files make Pillow raise whatever its parsers meet: OSError, SyntaxError, struct.error, EOFError, ...
    except Exception as error:
        raise Unreadable("image does not decode", f"{type(error).__name__}: {error}") from error


def decode_rgb(image: Image.Image) -> Image.Image:
    """An opened picture as RGB, alpha blended onto white."""
    if image.mode.startswith("I"):  # 16 bits a grey value; Pillow's own conversion would clip it at 255
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, WHITE)
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    return image.convert("RGB")


def center_crop(image: Image.Image, size: int) -> Image.Image:
    """The picture with its shorter side resized (bicubic) to `size` and the middle cut out: CLIP's evaluation."""
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return image.crop((left, top, left + size, top + size)) if width != height else image


def mirrored(image: Image.Image | np.ndarray) -> Image.Image | np.ndarray:
    """A picture, or the pixels (H,W,3) of one that OpenCV has cropped, with left and right exchanged."""
    if isinstance(image, Image.Image):
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    import cv2

    return cv2.flip(image, 1)  # NumPy takes forty times as long


def squash(image: Image.Image, size: int) -> Image.Image:
    """The whole picture resized (bicubic) to `size` x `size`, whatever its proportions: SigLIP's evaluation."""
    return image if image.size == (size, size) else image.resize((size, size), Image.Resampling.BICUBIC)


def pad(image: Image.Image, size: int) -> Image.Image:
    """The picture with its longer side resized (bicubic) to `size`, in the middle of a white square."""
    scale = size / max(image.size)
    width, height = (min(size, max(1, round(side * scale))) for side in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    if width == height:
        return image
    paper = Image.new("RGB", (size, size), WHITE)
    paper.paste(image, ((size - width) // 2, (size - height) // 2))
    return paper


RESIZE = {"crop": center_crop, "squash": squash, "pad": pad}
