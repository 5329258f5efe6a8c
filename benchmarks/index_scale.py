"""How long a source of many tars takes to open, and how much memory: indexes made up, tars hollow.

    python -m benchmarks.index_scale

Seconds and resident memory of opening the source from cached indexes, and of drawing records and finding their shard
and members, in a process of its own that holds nothing else.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.common import arguments, publish
from mmjax.data.sources.files import stamp
from mmjax.data.sources.index import FORM
from mmjax.data.sources.index_cache import save

BYTES = 2**16
LOOKUPS = 10_000


def make(folder: str, tars: int, samples: int) -> None:
    """Hollow tars of `samples` samples of BYTES each, and their indexes."""
    arrays = {
        "starts": np.arange(samples, dtype="u8") * BYTES,
        "sizes": np.full(samples, BYTES, "u4"),
        "layouts": np.zeros(samples, "u2"),
        "names": np.array(["jpg/txt/json"]),
    }
    for number in range(tars):
        path = os.path.join(folder, f"{number:05d}.tar")
        with open(path, "wb") as file:
            file.truncate(samples * BYTES)
        save(path, FORM, stamp(path), arrays | {"digest": np.array(f"{number:064x}")})


def measure(folder: str) -> dict:
    """Seconds and megabytes of opening the tars of `folder` and of looking up random samples."""
    from mmjax.data.order import Order
    from mmjax.data.sources import open_source

    before = _megabytes()
    start = time.perf_counter()
    source = open_source(os.path.join(folder, "*.tar"))
    opened = time.perf_counter()
    order = Order(0, len(source), 256)
    records = np.concatenate([order.records(step, np.arange(256)) for step in range(LOOKUPS // 256)])
    ordered = time.perf_counter()
    for record in records.tolist():
        source.members(record)
        source.url(record)
    found = time.perf_counter()
    return {
        "samples": len(source),
        "open_seconds": round(opened - start, 2),
        "resident_before_mb": before,
        "peak_resident_mb": _megabytes(),
        "order_microseconds_a_sample": round(1e6 * (ordered - opened) / len(records), 2),
        "lookup_microseconds_a_sample": round(1e6 * (found - ordered) / len(records), 2),
    }


def _megabytes() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def main():
    args, load = arguments(__doc__, tars=1000, samples=10_000), os.getloadavg()
    code = "import json, sys; from benchmarks.index_scale import measure; print(json.dumps(measure(sys.argv[1])))"
    with tempfile.TemporaryDirectory() as folder:
        make(folder, args.tars, args.samples)
        said = subprocess.run([sys.executable, "-c", code, folder], check=True, capture_output=True, text=True).stdout
    publish("index_scale", args, {"tars": args.tars} | json.loads(said), load)


if __name__ == "__main__":
    main()
