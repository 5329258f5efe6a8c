"""Tars of 256-pixel JPEGs with captions, as img2dataset writes them, from pictures at hand; the same every time."""

import io
import itertools
import json
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from mmjax.data.decoding.images import decode
from mmjax.data.sources import open_source
from mmjax.rng import numpy_generator

SIDE = 256
QUALITY = 85
PER_TAR = 500
ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
# Of the noise on the emoji that ship: flat drawings would be a fifth of a photograph's bytes.
NOISE = 20.0


def make_shards(folder: Path, count: int, pictures: str = "") -> dict:
    """Write `count` samples (KEY.jpg, KEY.txt, KEY.json) into tars of PER_TAR in `folder`.

    Every picture is a random part of one at hand, resized to SIDE x SIDE and saved as a JPEG of quality QUALITY.

    Args:
        folder: an empty one.
        count: samples.
        pictures: a folder of photographs; empty: the emoji that ship, with noise of a photograph's spectrum on them.

    Returns:
        {"pictures", "samples", "tars", "mean_jpeg_bytes"}.
    """
    bases = _photographs(Path(pictures)) if pictures else _emoji()
    captions = _captions()
    sizes = []
    for first in range(0, count, PER_TAR):
        with tarfile.open(folder / f"{first // PER_TAR:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for number in range(first, min(first + PER_TAR, count)):
                rng = numpy_generator(0, "benchmark/photo", number)
                picture = _part(bases[number % len(bases)], rng)
                sizes.append(len(data := _jpeg(picture if pictures else _noisy(picture, rng))))
                _add_sample(tar, f"{number:09d}", data, captions[number % len(captions)])
    name = "/".join(Path(pictures).resolve().parts[-3:])
    said = f"{len(bases)} in {name}" if pictures else "the emoji that ship, with noise of a photograph's spectrum"
    tars = -(-count // PER_TAR)
    return {"pictures": said, "samples": count, "tars": tars, "mean_jpeg_bytes": sum(sizes) / count}


def _photographs(folder):
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    return [decode(path.read_bytes()) for path in paths]


def _emoji():
    source = open_source("emoji:train")
    return [decode(source[n]["noto.webp"]) for n in range(len(source)) if "noto.webp" in source.members(n)]


def _captions():
    """As long as alt texts are: a label and its tags."""
    source = open_source("emoji:train")
    fields = [json.loads(source[n]["json"]) for n in range(len(source))]
    return [", ".join(itertools.chain([field["label"]["en"]], field["tags"]["en"])) for field in fields]


def _part(picture, rng):
    side = rng.uniform(0.5, 1.0) * min(picture.size)
    left, top = (rng.uniform(0, length - side) for length in picture.size)
    return picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def _noisy(picture, rng):
    """The spectrum of photographs falls as 1 / frequency (Field 1987, "Relations between the statistics of natural
    images and the response properties of cortical cells"); less of the noise is in the colours."""
    across, along = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij")
    fall = 1 / np.maximum(np.hypot(across, along), 1 / SIDE)
    waves = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((4, SIDE, SIDE))) * fall, (SIDE, SIDE))
    waves /= waves.std((1, 2), keepdims=True)
    noise = NOISE * (waves[0][..., None] + 0.3 * np.moveaxis(waves[1:], 0, -1))
    return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


def _jpeg(picture) -> bytes:
    out = io.BytesIO()
    picture.save(out, "jpeg", quality=QUALITY)
    return out.getvalue()


def _add_sample(tar, key, jpeg, caption):
    record = {"key": key, "caption": caption, "width": SIDE, "height": SIDE, "status": "success"}
    for ending, data in (("jpg", jpeg), ("txt", caption.encode()), ("json", json.dumps(record).encode())):
        info = tarfile.TarInfo(f"{key}.{ending}")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
