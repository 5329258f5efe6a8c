"""The training state: everything that a checkpoint holds."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from mmjax.mesh import partition_specs, replicated, shardings_like
from mmjax.rng import step_key


@flax.struct.dataclass
class TrainState:
    """Step count, parameters, optimiser moments, the objective's running state, the parameters' moving average.

    `params` is {"model": ..., "objective": ...}; `ema` is alike, or None where no average is kept. `skipped` counts the
    steps that changed nothing because their loss or gradients were not finite (`config.on_nonfinite`).
    """

    step: jax.Array
    params: Any
    objective_state: Any
    opt_state: Any
    ema: Any
    skipped: jax.Array


def init_params(model, objective, batch, seed: int):
    """Parameters and objective state from `seed`, for the shapes of `batch` (arrays or ShapeDtypeStructs)."""
    batch = {k: jnp.zeros(v.shape, v.dtype) for k, v in batch.items()}
    model_params = model.init(step_key(seed, "init model", 0), batch)["params"]
    features = model.apply({"params": model_params}, batch)
    variables = objective.init(step_key(seed, "init objective", 0), features, batch, train=True)
    return {"model": model_params, "objective": variables.get("params", {})}, variables.get("state", {})


def init_state(model, objective, tx, batch, *, seed: int, ema: bool) -> TrainState:
    """A fresh state, the same bits on any mesh. Pure: may be traced, jitted with shardings, or only shape-evaluated."""
    params, objective_state = init_params(model, objective, batch, seed)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        objective_state=objective_state,
        opt_state=tx.init(params),
        ema=jax.tree.map(jnp.copy, params) if ema else None,
        skipped=jnp.zeros((), jnp.int32),
    )


def state_shardings(state, mesh, rules=()) -> TrainState:
    """A NamedSharding for every leaf of a state (arrays or shapes): parameters by rule, all else like them."""
    specs = partition_specs(state.params, mesh, rules)
    split = lambda tree: shardings_like(tree, state.params, specs, mesh)  # noqa: E731
    return TrainState(
        step=replicated(mesh),
        params=split(state.params),
        objective_state=split(state.objective_state),
        opt_state=split(state.opt_state),
        ema=split(state.ema),
        skipped=replicated(mesh),
    )
