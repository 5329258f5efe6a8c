"""Values as pictures for a contact sheet and as tags of a page that needs no other file."""

import base64
import io
import wave as wave_file

import numpy as np
from PIL import Image

FRAME_MILLISECONDS = 150
INK = (40, 90, 160)


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """A picture (H,W,3) as (side, side, 3), small ones enlarged so that their pixels are seen."""
    if image.shape[:2] == (side, side):
        return image
    how = Image.Resampling.NEAREST if max(image.shape[:2]) <= side else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize((side, side), how))


def wave_picture(wave: np.ndarray, side: int) -> np.ndarray:
    """Least and greatest value over time of a signal (T,), as a picture (side, side, 3)."""
    picture = np.full((side, side, 3), 255, np.uint8)
    if not len(wave):
        return picture
    columns = [part for part in np.array_split(wave, side) if len(part)]
    low, high = (np.array([f(part) for part in columns], np.float64) for f in (np.min, np.max))
    scale = max(np.abs(low).max(), np.abs(high).max(), 1e-9)
    top, bottom = (((1 - value / scale) / 2 * (side - 1)).round().astype(int) for value in (high, low))
    for column in range(side):
        at = column * len(columns) // side  # a signal of fewer values than columns shows steps
        picture[top[at] : bottom[at] + 1, column] = INK
    return picture


def strip_picture(frames: np.ndarray, side: int) -> np.ndarray:
    """Frames (F,H,W,3) in rows from left to right, as a picture (side, side, 3)."""
    across = int(np.ceil(np.sqrt(len(frames))))
    cell = side // across
    picture = np.full((side, side, 3), 255, np.uint8)
    for number, frame in enumerate(frames):
        y, x = (cell * place for place in divmod(number, across))
        picture[y : y + cell, x : x + cell] = resized(frame, cell)
    return picture


def image_tag(image: np.ndarray) -> str:
    """A picture (H,W,3) uint8 as a tag."""
    return f'<img src="{_uri(_saved(Image.fromarray(image), "PNG"), "image/png")}" alt="">'


def sound_tag(wave: np.ndarray, sample_rate: int) -> str:
    """A player of a sound (T,) float32, after its amplitude over time."""
    with io.BytesIO() as out:
        with wave_file.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(sample_rate)
            file.writeframes((np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes())
        player = f'<audio controls src="{_uri(out.getvalue(), "audio/wav")}"></audio>'
    return image_tag(wave_picture(wave, 128)) + player


def clip_tag(frames: np.ndarray) -> str:
    """A clip (F,H,W,3) uint8 as a moving picture, and as a strip of its frames."""
    first, *rest = map(Image.fromarray, frames)
    moving = _saved(
        first, "WEBP", save_all=True, append_images=rest, duration=FRAME_MILLISECONDS, loop=0, lossless=True
    )
    strip = np.concatenate(list(frames), axis=1)
    return f'<img src="{_uri(moving, "image/webp")}" alt="">{image_tag(strip)}'


def series_tag(values: np.ndarray) -> str:
    """The channels of a series (T,C) over time."""
    return "".join(image_tag(wave_picture(channel, 128)) for channel in values.T)


def numbers_tag(values: np.ndarray, most: int = 8) -> str:
    """The first numbers of a vector (F,)."""
    shown = " ".join(f"{value:.3g}" for value in values[:most])
    return f"<code>{shown}{' ...' if len(values) > most else ''} <small>({len(values)})</small></code>"


def _saved(image, kind, **options) -> bytes:
    with io.BytesIO() as out:
        image.save(out, kind, **options)
        return out.getvalue()


def _uri(data, kind) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
