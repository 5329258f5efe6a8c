"""Losses over all pairs that never hold all logits: a tile at a time on one device, or around a ring of devices.

A lean loss is evaluated by a function of the rows that lie on this device; that function folds tiles (`tiles.py`) and
yields the gradient together with the value, so that nothing of a tile is kept for a backward pass. The dense form of
each loss is what it must equal, in value and in every gradient.
"""

import functools
import logging
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

from mmjax.losses.rows import Rows
from mmjax.losses.tiles import fold_ring, fold_tiles
from mmjax.mesh import BATCH_AXES

IMPLS = ("dense", "blockwise", "ring", "auto")
# "auto" takes the dense form while its logits, their exponentials and cotangents take no more than this on a device.
DENSE_BYTES = 2**28


class Folding(NamedTuple):
    """How a function of local rows reaches all pairs.

    Attributes:
        fold: `fold_tiles`, or `fold_ring` with its ring.
        reduce: sum over devices.
        one_sided: whether gradients are gathered for the local side alone, once with each side local: what moves
            around the ring is then the rows as they are, not a float32 gradient that is twice their size.
    """

    fold: Callable
    reduce: Callable
    one_sided: bool


def choose_impl(impl: str, rows: int, columns: int, numbers: int = 1) -> str:
    """The form to use: `impl` itself, or what "auto" comes to by the bytes that the dense form would take.

    Args:
        impl: one of `IMPLS`.
        rows, columns: of the logits of the global batch.
        numbers: how many a pair's logit is made of, such as the similarities of its tokens.

    Raises:
        ValueError: if `impl` is unknown.
    """
    if impl not in IMPLS:
        raise ValueError(f"unknown impl {impl!r}: use one of {', '.join(IMPLS)}")
    if impl != "auto":
        return impl
    axes, size = batch_axes()
    size = size if axes and rows % size == columns % size == 0 else 1
    needed = 3 * 4 * rows * columns * numbers // size
    chosen = "dense" if needed <= DENSE_BYTES else "ring" if size > 1 else "blockwise"
    logging.getLogger("mmjax").info(
        "loss over %d x %d pairs on %d device(s): %s (dense would take %d MiB a device, limit %d)",
        *(rows, columns, size, chosen, needed >> 20, DENSE_BYTES >> 20),
    )
    return chosen


def lean_loss(evaluate, x: Rows, y: Rows, params: dict, *, impl: str, tile_rows: int | None = None):
    """The loss () float32 that `evaluate` folds, differentiable in the values of x and y and in `params`.

    Args:
        evaluate: `(folding, x, y, params, with_gradient) -> (loss, gradients)`, gradients being float32 pytrees like
            (x.values, y.values, params), or None without.
        x, y: the two sides of the global batch.
        params: scalars such as the scale, and arrays that every tile needs, any pytree.
        impl: "blockwise" or "ring".
        tile_rows: most rows of a tile; None: `tiles.TILE_ROWS`.

    Raises:
        ValueError: if a ring is asked for without a mesh, or its devices do not divide the batch.
    """
    params = jax.tree.map(lambda value: jnp.asarray(value, jnp.float32), params)
    if impl == "blockwise":
        fold = functools.partial(fold_tiles, tile_rows=tile_rows)
        run = functools.partial(evaluate, Folding(fold, lambda total: total, one_sided=False))
    else:
        x, y = on_ring(x), on_ring(y)
        run = functools.partial(_around_ring, evaluate, tile_rows)
    return _differentiable(run)((x.values, y.values, params), (x.facts, y.facts))


def _differentiable(run):
    @jax.custom_vjp
    def loss(values, facts):
        return run(*_rows(values, facts), with_gradient=False)[0]

    def forward(values, facts):
        value, gradients = run(*_rows(values, facts), with_gradient=True)
        return value, jax.tree.map(lambda d, v: d.astype(v.dtype), gradients, values)

    def backward(gradients, cotangent):
        return jax.tree.map(lambda d: (cotangent * d.astype(jnp.float32)).astype(d.dtype), gradients), None

    loss.defvjp(forward, backward)
    return loss


def _rows(values, facts):
    return Rows(values[0], facts[0]), Rows(values[1], facts[1]), values[2]


def batch_axes() -> tuple[tuple[str, ...], int]:
    """The batch axes of the mesh in use and the number of devices along them; ((), 1) without such a mesh."""
    mesh = jax.sharding.get_abstract_mesh()
    axes = tuple(axis for axis in BATCH_AXES if axis in mesh.shape)
    return axes, math.prod(mesh.shape[axis] for axis in axes)


def on_ring(rows: Rows) -> Rows:
    """`rows` as they must lie, checked to divide; only a mesh of explicit axes has to be told."""
    mesh, (axes, size) = jax.sharding.get_abstract_mesh(), batch_axes()
    if not axes:
        has = f"the mesh here has {', '.join(mesh.axis_names)}" if mesh.shape else "there is no mesh here"
        raise ValueError(
            f"impl='ring' needs a mesh with the axis {' or '.join(BATCH_AXES)}, and {has}: call the loss under "
            "jax.set_mesh(mesh), or use impl='blockwise'"
        )
    batch = rows.facts["present"].shape[0]
    if batch % size:
        raise ValueError(
            f"{batch} rows do not divide over the {size} devices of the mesh axes {axes}: use a batch that is a "
            "multiple, or impl='blockwise'"
        )
    types = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    if any(types[axis] == AxisType.Explicit for axis in axes):
        return jax.tree.map(lambda x: jax.sharding.reshard(x, PartitionSpec(axes)), rows)
    return rows


def _around_ring(evaluate, tile_rows, x: Rows, y: Rows, params, *, with_gradient: bool):
    axes, size = batch_axes()
    fold = functools.partial(fold_ring, axes=axes, size=size, tile_rows=tile_rows)
    folding = Folding(fold, functools.partial(jax.lax.psum, axis_name=axes), one_sided=True)
    rows, everywhere = PartitionSpec(axes), PartitionSpec()

    def local(x, y, params):
        return evaluate(folding, x, y, params, with_gradient=with_gradient)

    gradients = (rows, rows, everywhere) if with_gradient else None
    return jax.shard_map(local, in_specs=(rows, rows, everywhere), out_specs=(everywhere, gradients), check_vma=False)(
        x, y, params
    )


def fold_gradient(folding: Folding, surrogate, x: Rows, y: Rows, params):
    """(sum of `surrogate` over tiles, its gradients in x.values, y.values and params), all float32.

    Args:
        surrogate: `(x, y, params) -> ()`, a sum over the pairs of a tile.
    """
    if not folding.one_sided:
        step = _gradient_step(surrogate, (0, 1, 2))
        start = (jnp.float32(0), _zeros(params)), _zeros(x.values), _zeros(y.values)
        (value, dparams), dx, dy = folding.fold(step(params), *start, x, y)
        return value, (dx, dy, dparams)
    start = (jnp.float32(0), _zeros(params)), _zeros(x.values), None
    (value, dparams), dx, _ = folding.fold(_gradient_step(surrogate, (0, 2))(params), *start, x, y)
    dx = jax.tree.map(lambda d, v: d.astype(v.dtype), dx, x.values)
    # Only now the second way round: together they would hold both sides' float32 sums at once.
    y, dx = jax.lax.optimization_barrier((y, dx))
    swapped = lambda y, x, params: surrogate(x, y, params)  # noqa: E731
    start = (jnp.float32(0), None), _zeros(y.values), None
    _, dy, _ = folding.fold(_gradient_step(swapped, (0,))(params), *start, y, x)
    return folding.reduce(value), (dx, dy, jax.tree.map(folding.reduce, dparams))


def _gradient_step(surrogate, which: tuple[int, ...]):
    """A tile's step that adds the surrogate and its gradients: 0 the local side's, 1 the moving one's, 2 params'."""

    def with_params(params):
        def step(totals, local, moving, local_rows, moving_rows):
            def loss(local_values, moving_values, params):
                return surrogate(
                    local_rows._replace(values=local_values), moving_rows._replace(values=moving_values), params
                )

            values = (_float32(local_rows.values), _float32(moving_rows.values), params)
            value, gradients = jax.value_and_grad(loss, which)(*values)
            new = [local, moving, totals[1]]
            for i, gradient in zip(which, gradients, strict=True):
                new[i] = jax.tree.map(jnp.add, new[i], gradient)
            return (totals[0] + value, new[2]), new[0], new[1]

        return step

    return with_params


def _float32(tree):
    return jax.tree.map(lambda x: x.astype(jnp.float32), tree)


def _zeros(tree):
    return jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), tree)


def lean_sum(tile_loss, x: Rows, y: Rows, params: dict, *, impl: str):
    """Sum over all pairs of `tile_loss(x, y, params) -> ()`, without their logits being held; see `lean_loss`."""

    def evaluate(folding, x, y, params, *, with_gradient):
        if with_gradient:
            return fold_gradient(folding, tile_loss, x, y, params)

        def step(total, local, moving, x, y):
            return total + tile_loss(x, y, params), local, moving

        return folding.reduce(folding.fold(step, jnp.float32(0), None, None, x, y)[0]), None

    return lean_loss(evaluate, x, y, params, impl=impl)
