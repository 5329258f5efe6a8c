"""One training step: encode, one global objective, update."""

import functools

import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding, PartitionSpec

from mmjax.encoders.products import compiling_for
from mmjax.mesh import BATCH_AXES, named_axes
from mmjax.rng import example_keys, step_key
from mmjax.teachers import encode, update_teachers, with_presence
from mmjax.training.optimizer import frozen_parameters
from mmjax.training.state import TrainState


def make_train_step(
    model,
    objective,
    tx,
    mesh,
    *,
    microbatches: int = 1,
    ema_decay: float = 0.0,
    rules=(),
    skip_nonfinite: bool = False,
    teachers=(),
):
    """The pure function `step(state, batch) -> (state, metrics)`; jit it with donated state.

    Gradients are those of the objective on the whole global batch, whatever `microbatches`: every micro-batch is
    encoded under `jax.checkpoint`, the objective sees all embeddings at once, and the backward pass encodes each
    micro-batch again (GradCache, Gao et al. 2021, arXiv 2101.06983). Masks of dropout come from (seed, step, id), so
    the second pass sees the same ones.

    Args:
        model, objective: linen modules of `mmjax.model` and `mmjax.objectives`.
        tx: the optimiser.
        mesh: the mesh over which batches lie.
        microbatches: parts of the batch that are encoded one after another.
        ema_decay: decay of the moving average; 0 where the state holds none.
        rules: `config.optimizer.rules`; the gradient of frozen parameters is not computed.
        skip_nonfinite: leave everything but the step as it was where loss or gradients are not finite, and count it.
        teachers: of `mmjax.teachers`.
    """

    def loss_fn(params, objective_state, teacher_params, batch, seed, step):
        keys = example_keys(step_key(seed, "train", step), batch["id"])
        frozen = frozen_parameters(params, rules)
        params = jax.tree.map(lambda f, p: jax.lax.stop_gradient(p) if f else p, frozen, params)
        variables = {"params": params["objective"], "state": objective_state}
        rngs = {"objective": step_key(seed, "objective", step)}
        with named_axes(mesh):
            encode_part = functools.partial(encode, model, teachers, params["model"], teacher_params)
            features = encode_in_parts(encode_part, batch, keys, microbatches, mesh)
            batch = with_presence(batch, features, model, teachers)
            (loss, metrics), changed = objective.apply(
                variables, features, batch, train=True, mutable=["state"], rngs=rngs
            )
        return loss, (metrics, changed.get("state", {}))

    def step(state: TrainState, batch):
        grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
        (loss, (metrics, objective_state)), grads = grad_fn(
            state.params, state.objective_state, state.teachers, batch, state.seed, state.step
        )
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        params = {**params, "objective": objective.after_update(params["objective"])}
        new_state = TrainState(
            seed=state.seed,
            step=state.step + 1,
            params=params,
            objective_state=objective_state,
            opt_state=opt_state,
            ema=state.ema and moving_average(state.ema, params, ema_decay, state.step),
            teachers=update_teachers(teachers, state.teachers, params["model"]),
            skipped=state.skipped,
        )
        metrics |= {"grad_norm": optax.tree.norm(grads)}
        if skip_nonfinite:
            finite = jnp.isfinite(loss) & jnp.isfinite(metrics["grad_norm"])
            new_state = state_if(finite, new_state, state)
            metrics |= {"skipped": new_state.skipped}
        return new_state, metrics | {"param_norm": optax.tree.norm(new_state.params["model"])}

    return compiling_for(mesh.devices.flat[0].platform)(step)


def encode_in_parts(encode, batch, keys, parts: int, mesh):
    """Features of the whole batch, encoded in `parts` micro-batches of which one at a time holds activations.

    Micro-batch m takes every `parts`-th row, so that a batch split over devices stays where it is.

    Args:
        encode: `(batch, keys=) -> features` of some rows.
        batch, keys: all rows, and their keys.
        parts: number of micro-batches.
        mesh: the mesh over which batches lie.
    """
    if parts == 1:
        return encode(batch, keys=keys)

    def split(x):
        x = jnp.moveaxis(x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 1, 0)
        return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec(None, BATCH_AXES)))

    def join(x):
        return jnp.moveaxis(x, 0, 1).reshape(x.shape[0] * x.shape[1], *x.shape[2:])

    @jax.checkpoint
    def encode_part(part):
        return encode(part[0], keys=part[1])

    _, features = jax.lax.scan(lambda carry, part: (carry, encode_part(part)), None, jax.tree.map(split, (batch, keys)))
    return jax.tree.map(join, features)


def state_if(finite, new: TrainState, old: TrainState) -> TrainState:
    """`new` where `finite` (), else `old` but for the step and the count of steps skipped."""
    state = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)
    return state.replace(step=new.step, skipped=old.skipped + (~finite).astype(jnp.int32))


def moving_average(average, params, decay: float, step):
    """EMA of parameters with a short memory at first, so that the start is forgotten: min(decay, (1+t)/(10+t))."""
    t = step.astype(jnp.float32)
    d = jnp.minimum(decay, (1 + t) / (10 + t))
    return jax.tree.map(lambda a, p: a + (1 - d) * (p - a), average, params)
