"""Time and memory of the contrastive losses in their forms: on this machine, and compiled for TPU slices.

    python -m benchmarks.loss

The slices need libtpu (extra `plan`), but no TPU. What `mmjax bench loss` measures, published.
"""

import importlib.util
import os

from benchmarks.common import arguments, publish
from mmjax.bench.loss import bench_loss, bench_loss_on

# (slice, global batch, forms): embeddings in bfloat16, 768 wide. The dense form at 262,144 and more does not compile.
SLICES = (
    ("v5e:2x4", 32_768, ("dense", "ring")),
    ("v5e:2x4", 262_144, ("ring",)),
    ("v5e:16x16", 1_048_576, ("ring",)),
)


def main():
    args, load = arguments(__doc__, batch=8192, width=512, repeats=7), os.getloadavg()
    args.config = "random unit vectors"
    result = {"here": bench_loss(batch=args.batch, width=args.width, repeats=args.repeats), "slices": []}
    if importlib.util.find_spec("libtpu"):
        result["slices"] = [bench_loss_on(slice_, batch=batch, impls=impls) for slice_, batch, impls in SLICES]
    publish("loss", args, result, load)


if __name__ == "__main__":
    main()
