"""The training step of open_clip's ViT-B-32, timed on request; run by a Python that has torch and open_clip, not mmjax.

As `open_clip_train` trains with --precision amp_bf16 (or fp32): autocast, AdamW without decay of gains and biases, the
logit scale limited to 100.
"""

import contextlib
import json
import math
import os
import sys
import time
from pathlib import Path

import open_clip
import torch


def main(batch_size: int, dtype: str) -> None:
    """Answers each line of standard input, "about", "step" or "peak", with a line of JSON."""
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    model = open_clip.create_model("ViT-B-32", output_dict=True)
    model.train()
    optimizer, loss = adamw(model), open_clip.ClipLoss()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch_size, 3, 224, 224, generator=generator)
    texts = torch.randint(1, 49406, (batch_size, 77), generator=generator)
    texts[:, -1] = 49407
    half = dtype == "bfloat16"

    def step() -> dict:
        begin = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16) if half else contextlib.nullcontext():
            total = sum(loss(**model(images, texts), output_dict=True).values())
        total.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        value = total.item()
        return {"seconds": time.perf_counter() - begin, "loss": value}

    versions = {"torch": torch.__version__, "open_clip": open_clip.__version__}
    answers = {"about": lambda: versions, "step": step, "peak": lambda: {"peak_mib": peak_mib()}}
    for line in sys.stdin:
        print(json.dumps(answers[line.strip()]()), flush=True)


def adamw(model):
    """open_clip_train's optimiser with its defaults for ViTs."""
    named = list(model.named_parameters())
    plain = [p for n, p in named if p.ndim < 2 or "bn" in n or "ln" in n or "bias" in n or "logit_scale" in n]
    rest = [p for _, p in named if not any(p is q for q in plain)]
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": rest, "weight_decay": 0.2}]
    return torch.optim.AdamW(groups, lr=5e-4, betas=(0.9, 0.98), eps=1e-6)


def peak_mib() -> float:
    """The most memory that this process has held, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
