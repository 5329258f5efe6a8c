"""Time and memory of the contrastive losses in their dense, blockwise and ring forms, here and on TPU slices."""

import functools
import statistics

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mmjax.bench.timing import timed
from mmjax.errors import UserError
from mmjax.losses import sigmoid_contrastive, softmax_contrastive
from mmjax.mesh import batch_sharding, make_mesh, replicated
from mmjax.training.flops import count_flops

LOSSES = {"softmax": lambda x, y, s, b, **o: softmax_contrastive(x, y, s, **o), "sigmoid": sigmoid_contrastive}
ONE_DEVICE = ("dense", "blockwise")
SEVERAL_DEVICES = ("dense", "ring")


def bench_loss(*, batch: int = 8192, width: int = 512, dtype: str = "float32", repeats: int = 5) -> dict:
    """Measure value and gradient of every loss and form on the devices of this process, taking turns.

    Args:
        batch: rows of the global batch.
        width: of the embeddings.
        dtype: of the embeddings: "float32" or "bfloat16".
        repeats: how often each is timed; medians are reported.

    Returns:
        {"batch", "width", "dtype", "devices", "matmul_gflops_per_second", "rows": [{"loss", "impl", "seconds",
        "of_dense", "temporary_mib", "gflop", "of_matmul"}]}: medians; `of_dense` is the ratio of times within a round,
        `of_matmul` the time that a plain product would take for the loss's FLOPs, as a share of the loss's.
    """
    mesh = make_mesh({"data": -1, "fsdp": 1, "tensor": 1})
    if batch % mesh.size:
        raise UserError(f"batch {batch} does not divide over {mesh.size} devices", where="--batch")
    impls = ONE_DEVICE if mesh.size == 1 else SEVERAL_DEVICES
    shapes = _shapes(mesh, batch, width, dtype)
    programs = {(loss, impl): _lower(mesh, shapes, loss, impl).compile() for loss in LOSSES for impl in impls}
    inputs = [jax.device_put(v, s.sharding) for v, s in zip(_inputs(batch, width, dtype), shapes, strict=True)]
    product = jax.jit(lambda x, y: jnp.einsum("id,jd->ij", x, y, preferred_element_type=jnp.float32))
    seconds = _take_turns({"product": lambda: product(*inputs[:2])} | _calls(programs, inputs), repeats)
    product_gflop, rows = 2 * batch * batch * width / 1e9, []
    for (loss, impl), program in programs.items():
        gflop, times = _flops(mesh, shapes, loss, impl) / 1e9, seconds[loss, impl]
        rows.append(
            {
                "loss": loss,
                "impl": impl,
                "seconds": statistics.median(times),
                "of_dense": _ratio(times, seconds[loss, "dense"]),
                "temporary_mib": program.memory_analysis().temp_size_in_bytes / 2**20,
                "gflop": gflop,
                "of_matmul": gflop / product_gflop * _ratio(seconds["product"], times),
            }
        )
    about = {"batch": batch, "width": width, "dtype": dtype, "devices": mesh.size}
    return about | {"matmul_gflops_per_second": product_gflop / statistics.median(seconds["product"]), "rows": rows}


def bench_loss_on(
    topology: str, *, batch: int, width: int = 768, dtype: str = "bfloat16", impls=SEVERAL_DEVICES
) -> dict:
    """Compile value and gradient of every loss and form for a TPU slice, which this machine need not have.

    Args:
        topology: such as "v5e:2x4"; see `mmjax.plan.topology`.
        batch, width, dtype: as for `bench_loss`.
        impls: forms to compile.

    Returns:
        {"topology", "batch", "width", "dtype", "rows": [{"loss", "impl", "fits", "temporary_mib"}]}, MiB a chip; where
        a form does not fit, the rest of what the compiler said.
    """
    from mmjax.plan.topology import compile_for_topology

    rows = []
    for loss in LOSSES:
        for impl in impls:
            how = {"loss": loss, "impl": impl}
            options = {"batch": batch, "width": width, "dtype": dtype}
            said = compile_for_topology(topology, "mmjax.bench.loss:lower_for_topology", how | options)
            if said["fits"]:
                rows.append(how | {"fits": True, "temporary_mib": said["memory"]["temporaries"] / 2**20})
            else:
                used, available = said["used"] / 2**20, said["available"] / 2**20
                rows.append(how | {"fits": False, "used_mib": used, "available_mib": available})
    return {"topology": topology, "batch": batch, "width": width, "dtype": dtype, "rows": rows}


def lower_for_topology(devices, *, batch: int, width: int, dtype: str, loss: str, impl: str):
    """Value and gradient of a loss lowered for `devices`, the batch split over all of them."""
    mesh = make_mesh({"data": -1, "fsdp": 1, "tensor": 1}, devices)
    return _lower(mesh, _shapes(mesh, batch, width, dtype), loss, impl)


def table(result: dict) -> str:
    """The result of `bench_loss` or `bench_loss_on` as text, a line for each loss and form."""
    where = result.get("topology") or f"{result['devices']} device(s)"
    lines = [f"batch {result['batch']:,}, width {result['width']}, {result['dtype']}, {where}"]
    for row in result["rows"]:
        said = f"{row['loss']:8} {row['impl']:10}"
        if "seconds" in row:
            said += (
                f" {row['seconds'] * 1e3:9.1f} ms  {row['of_dense']:5.2f} of dense  {row['of_matmul']:5.0%} of matmul"
            )
        if row.get("fits", True):
            lines.append(f"{said} {row['temporary_mib']:10.1f} MiB of temporaries a device")
        else:
            lines.append(f"{said} does not fit: {row['used_mib']:.0f} MiB of {row['available_mib']:.0f}")
    return "\n".join(lines)


def _shapes(mesh: Mesh, batch: int, width: int, dtype: str) -> list:
    rows = jax.ShapeDtypeStruct((batch, width), jnp.dtype(dtype), sharding=batch_sharding(mesh))
    number = jax.ShapeDtypeStruct((), jnp.float32, sharding=replicated(mesh))
    return [rows, rows, number, number]


def _inputs(batch: int, width: int, dtype: str) -> list:
    x, y = np.random.default_rng(0).normal(size=(2, batch, width)).astype(np.float32)
    x, y = (jnp.asarray(v / np.linalg.norm(v, axis=1, keepdims=True), dtype) for v in (x, y))
    return [x, y, jnp.float32(10.0), jnp.float32(-10.0)]


def _value_and_gradient(loss: str, impl: str):
    return jax.value_and_grad(functools.partial(LOSSES[loss], impl=impl), (0, 1, 2, 3))


def _lower(mesh: Mesh, shapes, loss: str, impl: str):
    rows, number = batch_sharding(mesh), replicated(mesh)
    with jax.set_mesh(mesh):
        outputs = (number, (rows, rows, number, number))
        return jax.jit(_value_and_gradient(loss, impl), out_shardings=outputs).lower(*shapes)


def _flops(mesh: Mesh, shapes, loss: str, impl: str) -> int:
    """FLOPs of the products of one evaluation, over all devices."""
    with jax.set_mesh(mesh):
        return count_flops(_value_and_gradient(loss, impl), *shapes)


def _calls(programs: dict, inputs) -> dict:
    return {name: functools.partial(program, *inputs) for name, program in programs.items()}


def _take_turns(calls: dict, rounds: int) -> dict:
    """Seconds of each call, one for each round; a round calls each once, so that all meet the same disturbances."""
    run = lambda call: timed(lambda: jax.block_until_ready(call()))  # noqa: E731
    times = [{name: run(call) for name, call in calls.items()} for _ in range(rounds + 1)][1:]
    return {name: [seconds[name] for seconds in times] for name in calls}


def _ratio(times: list[float], baseline: list[float]) -> float:
    """The median over rounds of the ratio within a round."""
    return statistics.median(t / b for t, b in zip(times, baseline, strict=True))
