"""Everything that a config stands for, built: mesh, model, objective, optimiser, state, step."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from mmjax import config as config_lib
from mmjax.durations import to_steps
from mmjax.mesh import batch_sharding, check_batch, make_mesh, named_axes
from mmjax.model import build_model
from mmjax.objectives import build_objective
from mmjax.teachers import build_teachers
from mmjax.training.flops import count_jaxpr_flops
from mmjax.training.optimizer import build_optimizer
from mmjax.training.schedule import build_schedule
from mmjax.training.state import init_params, init_state, state_shardings
from mmjax.training.step import make_train_step


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The built parts of a run.

    Attributes:
        config: the resolved config.
        examples: examples of an epoch.
        total_steps: steps of the run.
        mesh, model, teachers, objective, tx, schedule: its parts.
        batch: name -> ShapeDtypeStruct of the global batch, with its sharding.
        state: TrainState of ShapeDtypeStructs with their shardings.
    """

    config: Any
    examples: int
    total_steps: int
    mesh: jax.sharding.Mesh
    model: Any
    teachers: tuple
    objective: Any
    tx: Any
    schedule: Any
    batch: dict
    state: Any

    def init(self):
        """A fresh training state, placed on the mesh."""
        parts = (self.config, self.mesh, self.model, self.teachers, self.objective, self.tx, self.batch)
        make = jax.jit(functools.partial(_fresh_state, *parts), out_shardings=_shardings(self.state))
        return make(np.uint32(self.config.seed))

    def train_step(self):
        """The training step `(state, batch) -> (state, metrics)`, traceable; states lie as `self.state` says."""
        c = self.config
        step = make_train_step(
            self.model,
            self.objective,
            self.tx,
            self.mesh,
            microbatches=c.microbatches,
            ema_decay=c.ema_decay,
            rules=c.optimizer.rules,
            skip_nonfinite=c.on_nonfinite == "skip",
            teachers=self.teachers,
        )

        def placed_step(state, batch):
            state, metrics = step(state, batch)
            return jax.lax.with_sharding_constraint(state, _shardings(self.state)), metrics

        return placed_step

    def trace_step(self):
        """The training step as `jax.stages.Traced`, which uses up the state it is given."""
        return jax.jit(self.train_step(), donate_argnums=0).trace(self.state, self.batch)

    def compile_step(self):
        """(step, flops): the compiled training step, and what one costs."""
        traced = self.trace_step()
        return traced.lower().compile(), count_jaxpr_flops(traced.jaxpr.jaxpr)

    def steps(self, duration, *, where: str) -> int:
        """A duration such as "10%" in steps of this run, at least 1."""
        size = {"batch_size": self.config.batch_size, "examples": self.examples}
        return max(to_steps(duration, **size, total=self.total_steps, where=where), 1)


def build_experiment(config, *, examples: int, batch_shapes: dict, devices=None) -> Experiment:
    """Build the parts of `config`; nothing is computed yet.

    Args:
        config: a config; it is validated.
        examples: examples of an epoch of its training source.
        batch_shapes: name -> ShapeDtypeStruct-like of the global batch.
        devices: the devices of the mesh; None: all.

    Raises:
        UserError: for whatever does not fit together.
    """
    config_lib.validate(config)
    mesh = make_mesh(config.mesh, devices)
    check_batch(config.batch_size, config.microbatches, mesh)
    total = to_steps(config.duration, batch_size=config.batch_size, examples=examples, where="config.duration")
    platform = mesh.devices.flat[0].platform
    model, objective = build_model(config, platform), build_objective(config, examples)
    teachers = build_teachers(config, model, platform)
    schedule = build_schedule(config, total, examples)
    batch = {k: jax.ShapeDtypeStruct(v.shape, v.dtype, sharding=batch_sharding(mesh)) for k, v in batch_shapes.items()}
    with named_axes(mesh):
        params = jax.eval_shape(lambda: init_params(model, objective, batch, config.seed, teachers))[0]
    tx = build_optimizer(config, params, schedule)
    state = jax.eval_shape(lambda: _fresh_state(config, mesh, model, teachers, objective, tx, batch, config.seed))
    shardings = state_shardings(state, mesh, config.mesh.rules)
    state = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, shardings)
    return Experiment(config, examples, total, mesh, model, teachers, objective, tx, schedule, batch, state)


def _fresh_state(config, mesh, model, teachers, objective, tx, batch, seed):
    with named_axes(mesh):
        ema = config.ema_decay > 0
        return init_state(model, objective, tx, batch, seed=seed, ema=ema, teachers=teachers)


def _shardings(tree):
    return jax.tree.map(lambda x: x.sharding, tree)
