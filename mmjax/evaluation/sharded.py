"""Fold every gallery row into every query row, block by block, over the devices of a mesh, in bounded memory.

Rows are cut into blocks and the blocks dealt to the devices. Each device folds the gallery blocks it holds into its own
query blocks and hands them to the next device, until they have been all round the ring. So a device holds its share of
the rows and one block of scores, and because the shape of a block does not depend on the mesh, neither do the bits of
the result.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mmjax.mesh import BATCH_AXES


def one_device() -> Mesh:
    """The mesh of this process's first device, for callers that give none."""
    return Mesh(np.array(jax.local_devices()[:1]), BATCH_AXES[:1])


def batch_axes(mesh: Mesh) -> tuple[str, ...]:
    """Those axes of the mesh that rows are split along."""
    return tuple(axis for axis in BATCH_AXES if axis in mesh.shape)


def shards(mesh: Mesh) -> int:
    """How many pieces rows are split into on this mesh."""
    return math.prod(mesh.shape[axis] for axis in batch_axes(mesh))


def place(mesh: Mesh, block: int, **arrays: np.ndarray) -> dict[str, jax.Array]:
    """Host arrays of N rows as blocks on the devices: each (N, ...) becomes (blocks, min(block, N), ...).

    Every process holds all N rows on its host.

    `index` (int32) is added: the row's number, and -1 in the rows that fill up the last blocks (their values are 0).
    """
    rows = len(next(iter(arrays.values())))
    blocks, block = block_count(mesh, block, rows), min(block, rows)
    index = np.full(blocks * block, -1, np.int32)
    index[:rows] = np.arange(rows)
    sharding = NamedSharding(mesh, PartitionSpec(batch_axes(mesh)))
    return {name: blocked(array, blocks, block, sharding) for name, array in (arrays | {"index": index}).items()}


def block_count(mesh: Mesh, block: int, rows: int) -> int:
    """Into how many blocks `rows` rows are cut: as many on every device."""
    return -(-rows // (min(block, rows) * shards(mesh))) * shards(mesh)


def blocked(array: np.ndarray, blocks: int, block: int, sharding: NamedSharding) -> jax.Array:
    """(N, ...) as (blocks, block, ...) on the devices, filled up with zeros."""
    padded = np.zeros((blocks * block, *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    padded = padded.reshape(blocks, block, *array.shape[1:])
    return jax.make_array_from_callback(padded.shape, sharding, lambda piece: padded[piece])


@partial(jax.jit, static_argnames=("step", "mesh"))
def fold(step: Callable, carry, queries: dict, gallery: dict, mesh: Mesh, common: tuple = ()):
    """`carry` after `step` has shown every gallery block to every query block.

    Gallery blocks come in an order that depends on the device, so `step` must give the same for any order.

    Args:
        step: (carry block, query block, gallery block, *common) -> carry block; a module-level function, or it compiles
            anew.
        carry: arrays placed like the queries.
        queries, gallery: from `place`.
        mesh: where they lie.
        common: pytrees that every device holds whole, such as parameters.
    """
    devices, axes = shards(mesh), batch_axes(mesh)
    ring = [(i, (i + 1) % devices) for i in range(devices)]

    def local(carry, queries, gallery, common):
        def see(carry_and_query, gallery):
            carry, query = carry_and_query
            return jax.lax.scan(lambda c, g: (step(c, query, g, *common), None), carry, gallery)[0]

        def turn(_, state):
            carry, gallery = state
            carry = jax.lax.map(lambda block: see(block, gallery), (carry, queries))
            return carry, jax.lax.ppermute(gallery, axes, ring) if devices > 1 else gallery

        return jax.lax.fori_loop(0, devices, turn, (carry, gallery))[0]

    rows = PartitionSpec(axes)
    split = jax.shard_map(local, mesh=mesh, in_specs=(rows, rows, rows, PartitionSpec()), out_specs=rows)
    return split(carry, queries, gallery, common)


@partial(jax.jit, static_argnames=("make", "mesh"))
def each(make: Callable, blocks: dict, mesh: Mesh, common: tuple = ()):
    """`make(block, *common)` of every block, where it lies, one after the other; arguments as for `fold`."""

    def local(blocks, common):
        return jax.lax.map(lambda block: make(block, *common), blocks)

    rows = PartitionSpec(batch_axes(mesh))
    return jax.shard_map(local, mesh=mesh, in_specs=(rows, PartitionSpec()), out_specs=rows)(blocks, common)


def similarity(queries: dict, gallery: dict) -> jax.Array:
    """(Q, G) dot products of two blocks' `x` in float32; -inf for the rows that only fill the gallery up.

    Of queries that are subspaces, (Q, K, D) orthonormal bases, the squared length of each row's projection.
    """
    dots = jnp.matmul(queries["x"], gallery["x"].T, precision=jax.lax.Precision.HIGHEST)
    if dots.ndim == 3:
        dots = jnp.sum(jnp.square(dots), axis=1)
    return comparable(dots, gallery)


def comparable(scores: jax.Array, gallery: dict) -> jax.Array:
    """Scores (Q, G) of a block as steps compare them; -inf for the rows that only fill the gallery up."""
    # The barrier keeps the scores apart from what a step does with them, so that two steps see the same bits.
    scores = jax.lax.optimization_barrier(scores)
    scores = jnp.where(scores == 0, 0.0, scores)  # -0.0 ties with 0.0
    return jnp.where(gallery["index"][None, :] >= 0, scores, -jnp.inf)


def fetch(tree, rows: int, mesh: Mesh):
    """The first `rows` rows of placed arrays, on the host of every process."""
    whole = jax.jit(_same, out_shardings=NamedSharding(mesh, PartitionSpec()))(tree)
    return jax.tree.map(lambda a: np.asarray(a).reshape(-1, *a.shape[2:])[:rows], whole)


def _same(tree):
    return tree
