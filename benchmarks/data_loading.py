"""Images a second from tars of JPEGs, in mmjax and in open_clip's webdataset loader, taking turns on the same cores.

    python -m benchmarks.data_loading --torch_python=/path/to/python --pictures=FOLDER_OF_PHOTOGRAPHS

The same tars, random resized crops of 0.9 to 1 of the area to 224 pixels, bicubic, flips, CLIP's 77 tokens, batches of
256, from the page cache; nothing is kept decoded. mmjax hands over uint8 and normalises on the device, open_clip hands
over normalised float32; `open_clip_uint8` is open_clip without these two steps. mmjax's `pillow` resizes as open_clip
does, with a kernel widened when it shrinks; `turbo` decodes the same pixels and resizes by OpenCV's bicubic (see
`mmjax.data.decoding.turbo`). `decode_only` is what one core would do if nothing but decoding took time.

--torch_python needs open_clip_torch 3.3.0, webdataset 0.2.86 and pandas; without it mmjax is timed alone. The tokens'
vocabulary is the one in it, or --vocabulary, or that of an open_clip_torch installed here.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.common import publish, ratios, summary
from benchmarks.photo_shards import make_shards
from mmjax import config as c
from mmjax.bench.timing import Child
from mmjax.data.decoding.turbo import decode_shrunk, jpeg_size
from mmjax.data.sources import open_source

OPEN_CLIP = Path(__file__).with_name("open_clip_loading.py")
BATCH, SIZE, CONTEXT = 256, 224, 77
DECODED = 500


def main():
    args, load = arguments(), os.getloadavg()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        shards = make_shards(Path(folder), args.samples, args.pictures)
        names = [(loader, n) for n in args.workers for loader in loaders(args)]
        sides = {(loader, n): stack.enter_context(side(loader, n, folder, args)) for loader, n in names}
        versions = sides["open_clip", args.workers[0]].ask("about") if args.torch_python else {}
        rounds = [one_round(sides, folder) for _ in range(args.turns)]
    result = {"targets": {"turbo_to_open_clip": 3.0}, "shards": shards, "batch_size": BATCH, "open_clip": versions}
    publish("data_loading", args, result | result_of(rounds, args), load)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch_python", default="", help="a Python with open_clip_torch, webdataset and pandas")
    parser.add_argument("--pictures", default="", help="a folder of photographs; empty: emoji with noise")
    parser.add_argument("--vocabulary", default="", help="bpe_simple_vocab_16e6.txt.gz")
    parser.add_argument("--samples", type=int, default=5000, help="5000 by default")
    parser.add_argument("--turns", type=int, default=5, help="5 by default")
    parser.add_argument("--batches", type=int, default=16, help="of a turn, 16 by default")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 1], help="2 1 by default")
    parser.add_argument("--output", type=Path, help="file that gets the JSON object as well")
    args = parser.parse_args()
    args.config = "224-pixel crops of 256-pixel JPEGs"
    return args


def loaders(args) -> list[str]:
    """What takes turns."""
    return ["turbo", "pillow"] + ["open_clip", "open_clip_uint8"] * bool(args.torch_python)


def side(loader: str, workers: int, folder: str, args) -> Child:
    """One loader in a process of its own, with processes of its own."""
    options = {"workers": workers, "batches": args.batches}
    if loader in ("turbo", "pillow"):
        config = c.to_json(config_of(loader, folder, args))
        return Child(f"mmjax {loader}", [sys.executable, "-m", "mmjax.bench.data"], options | {"config": config})
    tars = sorted(map(str, Path(folder).glob("*.tar")))
    options |= {"tars": tars, "batch_size": BATCH, "floats": loader == "open_clip"}
    return Child(loader, [args.torch_python, str(OPEN_CLIP)], options)


def config_of(decoder: str, folder: str, args):
    """The same work as open_clip's."""
    config = c.default()
    config.batch_size = BATCH
    data = config.data
    data.source, data.decoder, data.image_size, data.context = f"{folder}/*.tar", decoder, SIZE, CONTEXT
    data.cache, data.tokenizer = 0, f"clip:{vocabulary(args)}"
    data.augment.crop, data.augment.flip = c.augment("crop", scale=(0.9, 1.0)), c.augment("flip")
    return config


def vocabulary(args) -> str:
    """The file that open_clip itself reads; "" for that of an installed package."""
    if args.vocabulary or not args.torch_python:
        return args.vocabulary
    code = "import open_clip.tokenizer as t; print(t.default_bpe())"
    return subprocess.run([args.torch_python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def one_round(sides: dict, folder: str) -> dict:
    """(loader, workers) -> what a turn of it took; `decode` -> seconds of a JPEG on one core."""
    return {"decode": decode_seconds(folder)} | {name: child.ask("load") for name, child in sides.items()}


def decode_seconds(folder: str) -> float:
    """Processor seconds of libjpeg-turbo for one of the JPEGs, at full size."""
    source = open_source(f"{folder}/*.tar")
    pictures = [source[i]["jpg"] for i in range(min(DECODED, len(source)))]
    begin = time.process_time()
    for data in pictures:
        decode_shrunk(data, *jpeg_size(data), 1)
    return (time.process_time() - begin) / len(pictures)


def result_of(rounds: list[dict], args) -> dict:
    decode = median(r["decode"] for r in rounds)
    result = {"decode_only": {"images_per_second_of_a_core": 1 / decode}, "workers": {}}
    for n in args.workers:
        turns = {loader: [r[loader, n] for r in rounds] for loader in loaders(args)}
        rates = {loader: [t["samples"] / t["seconds"] for t in of] for loader, of in turns.items()}
        found = {loader: figures(turns[loader], rates[loader], decode) for loader in turns}
        if args.torch_python:
            for ours in ("turbo", "pillow"):
                for theirs in ("open_clip", "open_clip_uint8"):
                    found[f"{ours}_to_{theirs}"] = ratios(rates[ours], rates[theirs])
        result["workers"][str(n)] = found
    return result


def figures(turns: list[dict], rates: list[float], decode: float) -> dict:
    spent = median(turn["cpu_seconds"] / turn["samples"] for turn in turns)
    return {
        "images_per_second": summary(rates),
        "cpu_ms_an_image": 1e3 * spent,
        "decode_share_of_cpu": decode / spent,
        "resident_mib": median(turn["resident_mib"] for turn in turns),
    }


if __name__ == "__main__":
    main()
