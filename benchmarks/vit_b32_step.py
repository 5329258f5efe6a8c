"""A training step of open_clip's ViT-B-32 in mmjax and, if a Python with torch is given, in open_clip, taking turns.

    python -m benchmarks.vit_b32_step --torch_python=/path/to/python

Examples/s and their ratio, FLOP/s beside this machine's matrix-product rate, peak memory of each process, seconds to
compile. What `mmjax bench step` measures, published.
"""

import argparse
import os
from pathlib import Path

from benchmarks.common import publish
from mmjax.bench.step import bench_step


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch_python", default="", help="a Python with torch and open_clip")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"), help="of activations")
    parser.add_argument("--remat", default="none", help="what backward keeps of mmjax's blocks")
    parser.add_argument("--batch_size", type=int, default=32, help="32 by default")
    parser.add_argument("--steps", type=int, default=7, help="7 by default")
    parser.add_argument("--output", type=Path, help="file that gets the JSON object as well")
    args, load = parser.parse_args(), os.getloadavg()
    args.config = "open_clip ViT-B-32"
    names = ("batch_size", "dtype", "steps", "remat", "torch_python")
    result = bench_step(**{name: getattr(args, name) for name in names})
    publish("vit_b32_step", args, {"steps": args.steps} | result, load)


if __name__ == "__main__":
    main()
