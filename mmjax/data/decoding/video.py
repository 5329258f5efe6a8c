"""Bytes to the frames of a clip: mp4, webm and their kin by PyAV, animations by Pillow, arrays as they are."""

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from mmjax.data.decoding.containers import CONTAINERS, MOST_PIXELS, container_frames
from mmjax.data.decoding.frame_laws import frame_indices
from mmjax.data.decoding.images import decode_rgb
from mmjax.data.decoding.npy import parse_npy
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

__all__ = ["VIDEOS", "decode_frames", "frame_indices"]

ANIMATIONS = {"gif": "GIF", "webp": "WEBP"}
# The endings of members that are videos.
VIDEOS = (*CONTAINERS, *ANIMATIONS, "npy")
MOST_FRAMES = 2**16
# Pillow builds every frame on the one before: pixels painted until the last frame that is wanted.
MOST_PAINTED = 2**32


def decode_frames(data: bytes, ending: str, pick: Callable[[int], Sequence[int]]) -> list[Image.Image]:
    """The frames that `pick(count)` names, in its order, as RGB pictures; only what they need is decoded.

    Args:
        data: an mp4, webm, mov or mkv file, an animated gif or webp, or an npy of (F,H,W,3) uint8.
        ending: the member's ending, whose last part says which of VIDEOS it is: "mp4", "fluent.webp".
        pick: from the number of frames in the file to the indices of those wanted, such as
            `lambda count: frame_indices(count, 8, "uniform")`.

    Raises:
        Unreadable: no such file, without frames, cut off before a wanted frame, or beyond the limits above.
        UserError: PyAV is not installed.
    """
    kind = ending.rsplit(".", 1)[-1].lower()
    if kind not in VIDEOS:
        raise Unreadable("video of an unknown kind", ending)
    try:
        if kind in CONTAINERS:
            return container_frames(data, kind, lambda *shape: _choose(pick, *shape))
        return _array_frames(data, pick) if kind == "npy" else _animation_frames(data, ANIMATIONS[kind], pick)
    except (Unreadable, UserError):
        raise
    except Exception as error:  # parsers of broken files raise whatever they meet
        raise Unreadable("video does not decode", f"{type(error).__name__}: {error}") from error


def _choose(pick, count, width, height) -> list[int]:
    """The wanted indices of `count` frames, after the limits were kept."""
    if not count:
        raise Unreadable("video has no frames")
    if not 0 < width * height <= MOST_PIXELS:
        raise Unreadable("video has too many pixels", f"{width} x {height}")
    if count > MOST_FRAMES:
        raise Unreadable("video has too many frames", f"{count}")
    return [int(index) for index in pick(count)]


def _animation_frames(data, kind, pick):
    image = Image.open(io.BytesIO(data), formats=(kind,))
    chosen = _choose(pick, image.n_frames, *image.size)
    if (max(chosen) + 1) * image.width * image.height > MOST_PAINTED:
        raise Unreadable("video has too many pixels", f"{max(chosen) + 1} frames of {image.width} x {image.height}")
    frames = {}
    for index in sorted(set(chosen)):
        image.seek(index)
        image.load()
        frames[index] = decode_rgb(image)
    return [frames[index] for index in chosen]


def _array_frames(data, pick):
    """Frames of an npy file, whose header is checked against its size before anything is made of it."""
    header = parse_npy(data)
    if header.dtype != np.uint8 or len(header.shape) != 4 or header.shape[-1] != 3 or header.by_columns:
        raise Unreadable("video is no (F,H,W,3) uint8 array", f"{header.shape} {header.dtype}")
    if len(data) < header.start + header.nbytes:
        raise Unreadable("video is cut off", f"{len(data)} bytes for {header.shape}")
    count, height, width, _ = header.shape
    chosen = _choose(pick, count, width, height)
    frames = np.frombuffer(data, np.uint8, header.nbytes, header.start).reshape(header.shape)
    return [Image.fromarray(frames[index]) for index in chosen]
