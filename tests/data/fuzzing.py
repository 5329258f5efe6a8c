"""Mutates bytes of whole samples and reads them, in a process of its own: `fuzzing.py FORMAT FIRST COUNT LOG`.

Every reading must end in a value, `Unreadable` or `UserError`, in time and in memory. The number of the mutation at
hand stands in the file LOG, so that whoever started the process can tell which one killed it: `fuzzing.py FORMAT
NUMBER 1 LOG` does it again.
"""

import faulthandler
import io
import json
import os
import resource
import struct
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from media import frames, npy, webp
from PIL import Image
from shards import pairs, write_tar

from mmjax.bench.timing import peak_mib
from mmjax.data.captions import draw_caption, text_fields
from mmjax.data.decoding.audio import decode_audio
from mmjax.data.decoding.frame_laws import frame_indices
from mmjax.data.decoding.images import center_crop, decode
from mmjax.data.decoding.npy import read_npy
from mmjax.data.decoding.turbo import open_turbo
from mmjax.data.decoding.video import decode_frames
from mmjax.data.sources import open_source
from mmjax.data.tokenizers import make_tokenizer
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

SECONDS = 20  # of one reading, on a machine that does other things too
ADDRESS_SPACE = 2**33
MOST_MIB = 1500
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def photo(side=48) -> Image.Image:
    """A picture with some content."""
    across, down = np.meshgrid(np.arange(side), np.arange(side))
    return Image.fromarray(np.stack([across * 5 % 256, down * 3 % 256, (across * down) % 256], -1).astype(np.uint8))


def saved(kind: str, **options) -> bytes:
    """`photo` as a file."""
    with io.BytesIO() as out:
        photo().save(out, kind, **options)
        return out.getvalue()


def exif() -> Image.Exif:
    """Turned by 90 degrees."""
    tags = Image.Exif()
    tags[0x0112] = 6
    return tags


def gif() -> bytes:
    """An animation of five frames."""
    with io.BytesIO() as out:
        first, *rest = (photo().rotate(10 * n) for n in range(5))
        first.save(out, "GIF", save_all=True, append_images=rest)
        return out.getvalue()


def sound(kind: str, subtype: str | None = None) -> bytes:
    """0.2 s of two channels."""
    import soundfile

    wave = np.sin(np.arange(3200)[:, None] * [0.05, 0.11]).astype(np.float32)
    with io.BytesIO() as out:
        soundfile.write(out, wave, 16000, format=kind, subtype=subtype)
        return out.getvalue()


def clip(kind: str, codec: str) -> bytes:
    """12 frames of 32 x 32."""
    import av

    with io.BytesIO() as out:
        with av.open(out, "w", format=kind) as container:
            stream = container.add_stream(codec, rate=12)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            for n in range(12):
                picture = av.VideoFrame.from_image(photo(32).rotate(15 * n))
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        return out.getvalue()


def table() -> bytes:
    """A CSV with quotes and line breaks."""
    rows = ['a,"a ""red"" cat",x', 'b,"two\nlines",y', "c,ä,z"]
    return "\n".join(["key,title,tags", *rows * 3]).encode()


def lines() -> bytes:
    """JSON lines with nested fields."""
    rows = [{"key": n, "title": "caption", "tags": ["a", "b"], "nested": {"en": "x"}} for n in range(6)]
    return "\n".join(map(json.dumps, rows)).encode()


def parquet() -> bytes:
    """Pictures, text and vectors in two row groups."""
    import pyarrow as pa
    import pyarrow.parquet

    medium = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        "image": pa.array([{"bytes": saved("png"), "path": "0.png"}] * 6, medium),
        "title": pa.array([f"caption {n}" for n in range(6)]),
        "vector": pa.array([[1.0, 2.0]] * 6, pa.list_(pa.float32())),
    }
    with io.BytesIO() as out:
        pa.parquet.write_table(pa.table(columns), out, row_group_size=3)
        return out.getvalue()


def tar() -> bytes:
    """Nine small samples."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        write_tar(file.name, pairs(9))
        return Path(file.name).read_bytes()


def array_record() -> bytes:
    """Three samples."""
    from mmjax.data.sources.array_records import write_array_record

    with tempfile.NamedTemporaryFile() as file:
        write_array_record(file.name, ({"__key__": str(n), "txt": b"a red cat", "png": saved("png")} for n in range(3)))
        return Path(file.name).read_bytes()


def read_picture(data: bytes):
    """As evaluation sees it."""
    return center_crop(decode(data), 32)


def read_jpeg(data: bytes):
    """By both decoders."""
    from mmjax.data.augments import Crop
    from mmjax.data.decoding.turbo import crop_jpeg

    crop_jpeg(data, Crop((0.1, 1.0)), numpy_generator(0, "fuzz"), 32)
    return read_picture(data)


def read_sound(data: bytes):
    """At another rate."""
    return decode_audio(data, 22050)


def read_clip(kind: str):
    """Four frames of a clip."""
    return lambda data: decode_frames(data, kind, lambda count: frame_indices(count, 4, "uniform"))


def read_fields(ending: str, template: str):
    """A caption and its tokens."""

    def read(data):
        caption = draw_caption(text_fields({ending: data}), ((template, 1.0),), ("en",), numpy_generator(0, "fuzz"))
        return make_tokenizer("emoji", 16)([caption])

    return read


def read_source(ending: str):
    """Every sample of a source in a file; the fault of the first that is unreadable comes after the last was read."""

    def read(data):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"data.{ending}"
            path.write_bytes(data)
            source, faults = open_source(str(path)), []
            assert source.nbytes >= 0
            for i in range(min(len(source), 100)):
                try:
                    source[i]
                except Unreadable as fault:
                    faults.append(fault)
        if faults:
            raise faults[0]

    return read


# Format -> (a whole file, how it is read).
FORMATS = {
    "jpeg": (lambda: saved("JPEG", quality=80), read_jpeg),
    "jpeg-exif": (lambda: saved("JPEG", quality=80, exif=exif()), read_jpeg),
    "jpeg-progressive": (lambda: saved("JPEG", progressive=True), read_jpeg),
    "png": (lambda: saved("PNG"), read_picture),
    "webp": (lambda: saved("WEBP"), read_picture),
    "gif": (gif, read_picture),
    "tiff": (lambda: saved("TIFF", compression="tiff_lzw"), read_picture),
    "bmp": (lambda: saved("BMP"), read_picture),
    "wav": (lambda: sound("WAV", "PCM_16"), read_sound),
    "wav-float": (lambda: sound("WAV", "FLOAT"), read_sound),
    "flac": (lambda: sound("FLAC"), read_sound),
    "ogg": (lambda: sound("OGG", "VORBIS"), read_sound),
    "mp3": (lambda: sound("MP3"), read_sound),
    "mp4": (lambda: clip("mp4", "mpeg4"), read_clip("mp4")),
    "webm": (lambda: clip("webm", "libvpx"), read_clip("webm")),
    "gif-clip": (gif, read_clip("gif")),
    "webp-clip": (lambda: webp(frames(3, 6)), read_clip("webp")),
    "npy-clip": (lambda: npy(frames(3, 6)), read_clip("npy")),
    "npy": (lambda: npy(np.arange(40.0).reshape(20, 2)), read_npy),
    "txt": (lambda: "a ❤ red café 👨\u200d👩\u200d👧 caption".encode() * 3, read_fields("txt", "{txt}")),
    "json": (lambda: lines().split(b"\n")[0], read_fields("json", "{title}, {tags}, {nested}")),
    "tar": (tar, read_source("tar")),
    "csv": (table, read_source("csv")),
    "jsonl": (lines, read_source("jsonl")),
    "parquet": (parquet, read_source("parquet")),
    "array_record": (array_record, read_source("array_record")),
    "npy-source": (lambda: npy(np.arange(40.0, dtype=np.float32).reshape(20, 2)), read_source("npy")),
}


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with one to three changes, of a kind that broken disks, half copies and ill will make."""
    for _ in range(rng.integers(1, 4)):
        data = CHANGES[rng.integers(len(CHANGES))](data, int(rng.integers(len(data) + 1)), rng)
    return data


def cut(data, at, rng):
    """What follows is gone."""
    return data[:at]


def leave_out(data, at, rng):
    """Up to 256 bytes are gone."""
    return data[:at] + data[at + 2 ** rng.integers(9) :]


def scramble(data, at, rng):
    """Up to 256 bytes are others."""
    count = min(2 ** int(rng.integers(9)), len(data) - at)
    return data[:at] + rng.bytes(count) + data[at + count :]


def change_bit(data, at, rng):
    """One bit is another."""
    return data[:at] + bytes([byte ^ 1 << rng.integers(8) for byte in data[at : at + 1]]) + data[at + 1 :]


def wipe(data, at, rng):
    """Up to 256 bytes are all zeros or all ones."""
    count = min(2 ** int(rng.integers(9)), len(data) - at)
    return data[:at] + bytes([rng.choice([0, 255])]) * count + data[at + count :]


def put_extreme(data, at, rng):
    """Four bytes are a number at the end of a range."""
    return data[:at] + struct.pack(rng.choice(["<I", ">I"]), rng.choice(EXTREMES)) + data[at + 4 :]


def repeat(data, at, rng):
    """Up to 256 bytes stand in another place as well."""
    other = int(rng.integers(len(data) + 1))
    return data[:other] + data[at : at + 2 ** int(rng.integers(9))] + data[other:]


CHANGES = (cut, leave_out, scramble, change_bit, wipe, put_extreme, repeat)


def main(kind: str, first: int, count: int, log: str) -> None:
    """Reads `count` mutations; prints what came of them as JSON."""
    warnings.simplefilter("ignore")
    make, read = FORMATS[kind]
    whole = make()
    open_turbo()
    read(whole)  # it must be readable before it is mutated; packages are loaded now
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    outcomes, number_file = Counter(value=0, refused=0), os.open(log, os.O_WRONLY | os.O_CREAT)
    for number in range(first, first + count):
        os.pwrite(number_file, f"{number:<12}".encode(), 0)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            read(mutate(whole, numpy_generator(0, f"fuzz/{kind}", number)))
            outcomes["value"] += 1
        except (Unreadable, UserError) as refusal:
            assert str(refusal.args[0])
            outcomes["refused"] += 1
        faulthandler.cancel_dump_traceback_later()
    assert peak_mib() < MOST_MIB, f"{peak_mib():.0f} MiB"
    print(json.dumps({"peak_mib": peak_mib(), **outcomes}))


if __name__ == "__main__":
    faulthandler.enable()
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
