"""The device mesh, which axis each parameter is split along, and where batches go.

Axes: `data` (batch split, parameters copied), `fsdp` (batch and parameters split), `tensor` (heads and hidden units
split). A rule is (pattern, axes): the first pattern found in a parameter's path gives the mesh axis of each of its
*last* axes, so one rule serves a layer and the same layer stacked by scan.
"""

import math
import re
from collections.abc import Mapping, Sequence

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mmjax.errors import UserError

AXES = ("data", "fsdp", "tensor")
BATCH_AXES = ("data", "fsdp")

# Heads and hidden units over tensor: split on the way in, summed on the way out, so that a branch needs one reduction
# (Megatron-LM, Shoeybi et al. 2019, arXiv 1909.08053); the other axis over fsdp. What is small is copied.
DEFAULT_RULES = (
    (r"attention/(query|key|value)/kernel$|mlp/(up|gate)/kernel$", ("fsdp", "tensor")),
    (r"attention/(query|key|value)/bias$|mlp/(up|gate)/bias$", ("tensor",)),
    (r"attention/out/kernel$|mlp/down/kernel$", ("tensor", "fsdp")),
    (r"token_embedding$|stem/.*kernel$|hidden_\d+/kernel$", (None, "fsdp")),
    (r"_projection/kernel$", ("fsdp", None)),
    (r"(position_embedding|class_embedding|probe|scale|bias)$", ()),
    (r"^objective/|_head/", ()),
)


def make_mesh(sizes: Mapping[str, int], devices: Sequence | None = None) -> Mesh:
    """A mesh over all `devices` with the sizes of `AXES`, at most one of them -1 to take what is left.

    Raises:
        UserError: if the sizes do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    shape = [sizes[axis] for axis in AXES]
    given = math.prod(s for s in shape if s != -1)
    asked = ", ".join(f"{a}={s}" for a, s in zip(AXES, shape, strict=True))
    if shape.count(-1) > 1 or any(s < 1 and s != -1 for s in shape):
        raise UserError(f"mesh {asked}: sizes are positive, and one of them may be -1", where="config.mesh")
    if -1 in shape and len(devices) % given == 0:
        shape[shape.index(-1)] = len(devices) // given
    if math.prod(shape) != len(devices):
        raise UserError(
            f"mesh {asked} does not fit the {len(devices)} device(s) here",
            where="config.mesh",
            remedy=f"let the sizes multiply to {len(devices)}, or give one of them as -1",
        )
    auto = (jax.sharding.AxisType.Auto,) * len(AXES)
    return jax.make_mesh(tuple(shape), AXES, axis_types=auto, devices=devices)


def named_axes(mesh: Mesh):
    """A context in which traced code sees the axes of `mesh`: for losses around a ring, and for `split_by_rows`."""
    return jax.sharding.use_abstract_mesh(mesh.abstract_mesh)


def split_by_rows(x):
    """x (B, ...), each device keeping its own rows of it, where code is traced inside `named_axes`; else x itself.

    Unasked, the compiler would rather gather a batch than the parameters that `fsdp` splits: every device would then
    hold the activations of all rows.
    """
    mesh = jax.sharding.get_abstract_mesh()
    axes = tuple(a for a in BATCH_AXES if a in mesh.auto_axes)
    return jax.lax.with_sharding_constraint(x, PartitionSpec(axes)) if axes else x


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The sharding of a batch: rows over `BATCH_AXES`."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def batch_devices(mesh: Mesh) -> int:
    """Number of devices over which a batch is split."""
    return math.prod(mesh.shape[a] for a in BATCH_AXES)


def check_batch(batch_size: int, microbatches: int, mesh: Mesh) -> None:
    """Raise `UserError` unless every device gets equally many rows of every micro-batch."""
    devices = batch_devices(mesh)
    if batch_size % (devices * microbatches):
        whole = devices * microbatches
        below = batch_size // whole * whole
        raise UserError(
            f"batch_size {batch_size} does not divide into {devices} device(s) x {microbatches} micro-batch(es)",
            where="config.batch_size, config.mesh, config.microbatches",
            remedy=f"use a multiple of {whole}, such as {below or whole} or {below + whole}",
        )


def path_name(path) -> str:
    """A key path of jax.tree_util as "image/blocks/mlp/up/kernel"."""
    return "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path)


def partition_specs(params, mesh: Mesh, rules: Sequence = ()):
    """A tree like `params` of PartitionSpecs, from `rules` and then `DEFAULT_RULES`.

    Args:
        params: tree of arrays or shapes.
        mesh: the mesh whose axes the rules name.
        rules: (pattern, axes) pairs; an axis is a mesh axis, a tuple of them, or None.

    Raises:
        UserError: naming the parameter that no rule covers, or whose axis the mesh does not divide.
    """
    rules = (*rules, *DEFAULT_RULES)
    return jax.tree_util.tree_map_with_path(lambda path, x: _spec(path_name(path), x.shape, mesh, rules), params)


def shardings_like(tree, params, specs, mesh: Mesh):
    """Shardings for a state `tree`: a leaf whose path ends in a parameter's and has its shape is split like it.

    So moments and moving averages lie where their parameters lie; everything else is copied to every device.
    """
    by_path = {
        path_name(path): (x.shape, spec)
        for (path, x), spec in zip(
            jax.tree_util.tree_leaves_with_path(params),
            jax.tree.leaves(specs, is_leaf=lambda s: isinstance(s, PartitionSpec)),
            strict=True,
        )
    }

    def sharding(path, x):
        names = path_name(path).split("/")
        for start in range(len(names)):
            shape, spec = by_path.get("/".join(names[start:]), (None, None))
            if shape == x.shape:
                return NamedSharding(mesh, spec)
        return replicated(mesh)

    return jax.tree_util.tree_map_with_path(sharding, tree)


def _spec(name: str, shape: tuple[int, ...], mesh: Mesh, rules: Sequence) -> PartitionSpec:
    for pattern, axes in rules:
        if re.search(pattern, name) and len(axes) <= len(shape):
            axes = (None,) * (len(shape) - len(axes)) + tuple(axes)
            _check_divides(name, shape, axes, mesh)
            return PartitionSpec(*axes)
    raise UserError(
        f"no partition rule covers the parameter {name} of shape {shape}",
        where="config.mesh.rules",
        remedy=f"add a rule such as ({name.rsplit('/', 1)[-1]!r}, {(None,) * len(shape)})",
    )


def _check_divides(name: str, shape, axes, mesh: Mesh) -> None:
    for i, axis in enumerate(axes):
        names = (axis,) if isinstance(axis, str) else axis or ()
        unknown = [a for a in names if a not in mesh.shape]
        if unknown:
            raise UserError(f"the rule for {name} names the mesh axis {unknown[0]!r}", remedy=f"use one of {AXES}")
        pieces = math.prod(mesh.shape[a] for a in names)
        if shape[i] % pieces:
            raise UserError(
                f"axis {i} of the parameter {name}, {shape[i]} long, does not divide over {axis} = {pieces} devices",
                where=f"shape {shape}",
                remedy=f"change config.mesh.{names[0]}, or add a rule for it to config.mesh.rules",
            )
