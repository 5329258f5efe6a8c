"""Speed, memory and compile time of a ViT-B/32 CLIP training step, beside open_clip's where there is one to run."""

import contextlib
import json
import os
import sys
from pathlib import Path
from statistics import median

from mmjax.bench.timing import Child, peak_mib, serve, timed

OPEN_CLIP = Path(__file__).with_name("open_clip_step.py")
SIDE = 2048


def bench_step(
    *, batch_size: int = 32, dtype: str = "bfloat16", steps: int = 5, remat: str = "none", torch_python: str = ""
) -> dict:
    """Time training steps of open_clip's ViT-B-32 (image 224, context 77, AdamW) on ready data.

    Each side is a process of its own, and they take turns: a product of two square matrices, two steps, two steps of
    open_clip. The second step of a turn counts: in training one step follows another, and the first of a turn finds
    that the system has given the memory it let go of to somebody else. The first round is not counted.

    Args:
        batch_size: examples of a step.
        dtype: of activations: "bfloat16" (open_clip: amp_bf16) or "float32".
        steps: counted rounds.
        remat: of mmjax's blocks, see `mmjax.encoders.ViT`.
        torch_python: a Python with torch and open_clip, to compare with; none: mmjax alone.

    Returns:
        {"batch_size", "dtype", "remat", "cores", "matmul_gflops_per_second", "mmjax", "open_clip", "ratio"}, the last
        two with torch_python only. A side has {"seconds", "examples_per_second", "peak_mib", "loss"}, medians over the
        rounds and the last loss, mmjax's also {"gflop", "compile_seconds", "gflops_per_second", "of_matmul"},
        open_clip's its versions. `ratio` is the median of open_clip's seconds to mmjax's of the same round.

    Raises:
        UserError: if a side does not run.
    """
    options = {"batch_size": batch_size, "dtype": dtype}
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-m", "mmjax.bench.step"]
        sides = {"mmjax": stack.enter_context(Child("mmjax", command, options | {"remat": remat}))}
        about = {"mmjax": sides["mmjax"].ask("about")}
        if torch_python:
            sides["open_clip"] = stack.enter_context(Child("open_clip", [torch_python, str(OPEN_CLIP)], options))
            about["open_clip"] = sides["open_clip"].ask("about")
        rounds = [_round(sides) for _ in range(steps + 1)][1:]
        peaks = {name: side.ask("peak") for name, side in sides.items()}
    return options | {"remat": remat} | _result(batch_size, rounds, about, peaks)


def _round(sides: dict[str, Child]) -> dict:
    product = sides["mmjax"].ask("product")["seconds"]
    return {"product": product} | {name: [side.ask("step"), side.ask("step")][1] for name, side in sides.items()}


def _result(batch_size: int, rounds: list[dict], about: dict, peaks: dict) -> dict:
    limit = [2 * SIDE**3 / r["product"] / 1e9 for r in rounds]
    result = {"cores": about["mmjax"].pop("cores"), "matmul_gflops_per_second": median(limit)}
    for name in about:
        seconds = median(r[name]["seconds"] for r in rounds)
        rate = {"seconds": seconds, "examples_per_second": batch_size / seconds, "loss": rounds[-1][name]["loss"]}
        result[name] = rate | peaks[name] | about[name]
    ours = result["mmjax"]
    ours["gflops_per_second"] = ours["gflop"] / ours["seconds"]
    ours["of_matmul"] = median(ours["gflop"] / r["mmjax"]["seconds"] / m for r, m in zip(rounds, limit, strict=True))
    if "open_clip" in about:
        result["ratio"] = median(r["open_clip"]["seconds"] / r["mmjax"]["seconds"] for r in rounds)
    return result


def table(result: dict) -> str:
    """The result of `bench_step` as text."""
    lines = [f"ViT-B/32 CLIP, batch {result['batch_size']}, {result['dtype']}, {result['cores']} core(s)"]
    for name in ("mmjax", "open_clip"):
        if name in result:
            side = result[name]
            rate = f"{side['examples_per_second']:7.2f} examples/s  {side['seconds']:7.3f} s a step"
            lines.append(f"{name:10} {rate}  {side['peak_mib']:7.0f} MiB at most")
    ours = result["mmjax"]
    said = f"{ours['gflops_per_second']:.0f} GFLOP/s, {ours['of_matmul']:.0%} of a plain product's"
    lines.append(f"mmjax: {said}; compiled in {ours['compile_seconds']:.1f} s")
    if "ratio" in result:
        lines.append(f"mmjax is {result['ratio']:.2f} times as fast as open_clip")
    return "\n".join(lines)


def config(batch_size: int, dtype: str, remat: str):
    """The config whose step is timed."""
    from mmjax import config as c

    config = c.default()
    config.batch_size, config.embed_dim, config.activations = batch_size, 512, dtype
    config.towers.image = c.tower("vit", "clip-B/32", image_size=224, scan=True, remat=remat)
    config.towers.text = c.tower("text", "clip-B/32", scan=True, remat=remat)
    config.objectives.contrastive = c.objective("softmax")
    config.optimizer.learning_rate = 5e-4
    config.optimizer.clip_norm = 0.0  # as in open_clip
    return config


def batch(batch_size: int) -> dict:
    """A ready batch: float images (B, 224, 224, 3), texts (B, 77), ids (B,)."""
    import numpy as np

    rng = np.random.default_rng(0)
    texts = rng.integers(1, 49406, (batch_size, 77)).astype(np.int32)
    texts[:, -1] = 49407
    images = rng.normal(size=(batch_size, 224, 224, 3)).astype(np.float32)
    return {"image": images, "text": texts, "id": np.arange(batch_size, dtype=np.int32)}


class Side:
    """mmjax's side: the compiled step, its state and batch."""

    def __init__(self, batch_size: int, dtype: str, remat: str):
        import jax
        import jax.numpy as jnp

        from mmjax.training.experiment import build_experiment

        self._wait, ready = jax.block_until_ready, batch(batch_size)
        experiment = build_experiment(config(batch_size, dtype, remat), examples=10 * batch_size, batch_shapes=ready)
        self._compile_seconds = timed(lambda: setattr(self, "_compiled", experiment.compile_step()))
        self._state = experiment.init()
        self._batch = {k: jax.device_put(v, experiment.batch[k].sharding) for k, v in ready.items()}
        a, b = jnp.ones((2, SIDE, SIDE), dtype)
        self._product = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32)).lower(a, b).compile()
        self._factors = a, b

    def about(self) -> dict:
        """What is known before a step."""
        _, flops = self._compiled
        return {"cores": len(os.sched_getaffinity(0)), "gflop": flops / 1e9, "compile_seconds": self._compile_seconds}

    def step(self) -> dict:
        """One training step: its seconds and loss."""
        return {"seconds": timed(self._update), "loss": float(self._metrics["loss"])}

    def _update(self) -> None:
        step, _ = self._compiled
        self._state, self._metrics = self._wait(step(self._state, self._batch))

    def product(self) -> dict:
        """Seconds of a product of two matrices with SIDE rows and columns."""
        return {"seconds": median(timed(lambda: self._wait(self._product(*self._factors))) for _ in range(5))}

    def peak(self) -> dict:
        """The most memory that this process has held."""
        return {"peak_mib": peak_mib()}


if __name__ == "__main__":
    from mmjax.startup import tune_allocator

    tune_allocator()
    side = Side(**json.loads(sys.argv[1]))
    serve({"about": side.about, "step": side.step, "product": side.product, "peak": side.peak})
