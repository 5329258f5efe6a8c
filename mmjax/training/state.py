"""The training state: everything that a checkpoint holds."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from mmjax.mesh import batch_sharding, partition_specs, path_name, replicated, shardings_like
from mmjax.rng import step_key
from mmjax.teachers import Run, encode, start_teachers, with_presence


@flax.struct.dataclass
class TrainState:
    """Seed, step count, parameters, moments, the objective's running state, the parameters' moving average, teachers.

    The `seed` of all random keys is an array, so that one compiled program serves every seed. `params` is
    {"model": ..., "objective": ...}; `ema` is alike, or None where no average is kept. `teachers` holds the model
    parameters of each teacher by its name. `skipped` counts the steps that changed nothing because their loss or
    gradients were not finite (`config.on_nonfinite`).
    """

    seed: jax.Array
    step: jax.Array
    params: Any
    objective_state: Any
    opt_state: Any
    ema: Any
    teachers: Any
    skipped: jax.Array


def init_params(model, objective, batch, seed, teachers=()):
    """(parameters, objective state, teachers' parameters) from `seed`, for the shapes of `batch` (arrays or shapes)."""
    batch = {k: jnp.zeros(v.shape, v.dtype) for k, v in batch.items()}
    key = step_key(seed, "init model", 0)
    # Without the heads on teachers' features, which are made next.
    params = model.init(key, batch)["params"]
    others = {t.name: t.model.init(key, batch)["params"] for t in teachers if isinstance(t.kind, Run)}
    if teachers:
        given = encode(model, teachers, params, start_teachers(teachers, params) | others, batch)
        params = model.init(key, batch, given={name: f for name, f in given.items() if "/" in name})["params"]
    teacher_params = start_teachers(teachers, params) | others
    features = encode(model, teachers, params, teacher_params, batch)
    batch = with_presence(batch, features, model, teachers)
    variables = objective.init(step_key(seed, "init objective", 0), features, batch, train=True)
    return {"model": params, "objective": variables.get("params", {})}, variables.get("state", {}), teacher_params


def init_state(model, objective, tx, batch, *, seed, ema: bool, teachers=()) -> TrainState:
    """A fresh state, the same bits on any mesh. Pure: may be traced, jitted with shardings, or only shape-evaluated."""
    params, objective_state, teacher_params = init_params(model, objective, batch, seed, teachers)
    return TrainState(
        seed=jnp.asarray(seed, jnp.uint32),
        step=jnp.zeros((), jnp.int32),
        params=params,
        objective_state=objective_state,
        opt_state=tx.init(params),
        ema=jax.tree.map(jnp.copy, params) if ema else None,
        teachers=teacher_params,
        skipped=jnp.zeros((), jnp.int32),
    )


def state_shardings(state, mesh, rules=()) -> TrainState:
    """A NamedSharding for every leaf of a state (arrays or shapes): parameters by rule, all else like them."""
    specs = partition_specs(state.params, mesh, rules)
    split = lambda tree: shardings_like(tree, state.params, specs, mesh)  # noqa: E731
    return TrainState(
        seed=replicated(mesh),
        step=replicated(mesh),
        params=split(state.params),
        objective_state=split_examples(state.objective_state, split(state.objective_state), mesh),
        opt_state=split(state.opt_state),
        ema=split(state.ema),
        teachers={
            name: shardings_like(tree, tree, partition_specs(tree, mesh, rules), mesh)
            for name, tree in state.teachers.items()
        },
        skipped=replicated(mesh),
    )


def split_examples(state, shardings, mesh):
    """`shardings` of an objective's state, its variables `example_...` split over the batch axes: a row an example."""

    def sharding(path, x, otherwise):
        return batch_sharding(mesh) if path_name(path).rsplit("/", 1)[-1].startswith("example_") else otherwise

    return jax.tree_util.tree_map_with_path(sharding, state, shardings)
