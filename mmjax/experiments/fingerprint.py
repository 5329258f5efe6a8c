"""The final parameters of a run as a few hexadecimal digits: equal bits, equal digits."""

import hashlib
import json
from pathlib import Path


def parameters_hash(workdir: str | Path, step: int | None = None) -> str:
    """12 hexadecimal digits over the digests of all parameters in a checkpoint; empty where there is none.

    A checkpoint holds a digest of every array's bits (`mmjax.training.checkpoint`), so nothing is loaded here. The
    digests are 32 bits an array: equal bits always give equal digits, others by chance once in four billion.

    Args:
        workdir: folder of the run.
        step: step of the checkpoint; None: the newest.
    """
    folder = Path(workdir) / "checkpoints"
    if step is None:
        step = max((int(p.name) for p in folder.glob("*") if p.name.isdigit()), default=0)
    file = folder / str(step) / "digest" / "metadata"
    if not file.exists():
        return ""
    digests = {k: v for k, v in json.loads(file.read_text()).items() if k.startswith("params/")}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:12]
