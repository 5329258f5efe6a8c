"""The step's FLOP/s beside this machine's matrix-product rate, and where the rest of the time goes.

    python -m benchmarks.step_flops

Float32. The rate is that of a 2048 x 2048 x 2048 product and, since a step's products are smaller, of the step's own
products one by one. The parts of the step are compiled apart: forward with and without the noise of training, forward
with backward, and all that follows the gradients. Apart they do not add up exactly: XLA fuses across them.
"""

import collections
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.extend.core import jaxprs_in_params

from benchmarks.common import arguments, build, load_config, publish, seconds, start_as_train, summary
from mmjax.rng import example_keys, step_key
from mmjax.training.flops import count_flops
from mmjax.training.step import moving_average
from mmjax.training.train import training_batches

SIDE = 2048


def main():
    args, load = arguments(__doc__, rounds=7, calls=10, side=SIDE), os.getloadavg()
    start_as_train()
    pipeline, experiment = build(load_config(args.config))
    with training_batches(pipeline, experiment.mesh, 0) as stream:
        batch = next(stream)
    products = matrix_products(experiment)
    programs = parts(experiment, batch) | {"matmul": matmul(args.side)}
    programs |= {f"product {n}": call for n, (call, _) in enumerate(products)}
    times = measure(programs, args.rounds, args.calls)
    own = [sum(p[1] * t for p, t in zip(products, r, strict=True)) for r in zip(*product_times(times), strict=True)]
    flops = count_flops(experiment.train_step(), experiment.state, experiment.batch)
    publish("step_flops", args, result(flops, times, own, args.side), load)


def measure(programs: dict, rounds: int, calls: int) -> dict[str, list[float]]:
    """Name -> seconds of a call in each round; the programs take turns, so that all see the same machine."""
    for run in programs.values():
        seconds(run, repeats=2)
    times = collections.defaultdict(list)
    for _ in range(rounds):
        for name, run in programs.items():
            times[name].append(seconds(run, repeats=calls))
    return dict(times)


def product_times(times: dict) -> list[list[float]]:
    return [values for name, values in times.items() if name.startswith("product ")]


def result(flops: int, times: dict, own: list[float], side: int) -> dict:
    """Rates, their ratio in each round, and the parts as shares of the step."""
    step = times["step"]
    rate = [flops / t for t in step]
    peak = [2 * side**3 / t for t in times["matmul"]]
    median = {name: summary(values) for name, values in times.items() if not name.startswith(("product ", "matmul"))}
    whole = median["step"]["median"]
    return {
        "step_gflop": flops / 1e9,
        "step_gflop_per_second": summary([r / 1e9 for r in rate]),
        "matmul_gflop_per_second": summary([p / 1e9 for p in peak]),
        "share_of_matmul_rate": summary([r / p for r, p in zip(rate, peak, strict=True)]),
        "own_products_gflop_per_second": summary([flops / t / 1e9 for t in own]),
        "own_products_share_of_step_time": summary([o / t for o, t in zip(own, step, strict=True)]),
        "seconds": median,
        "share_of_step_time": {name: m["median"] / whole for name, m in median.items()},
        "backward_share_of_step_time": (median["forward and backward"]["median"] - median["forward"]["median"]) / whole,
    }


def matmul(side: int):
    """A float32 product of two square matrices."""
    a, b = jax.device_put(np.random.default_rng(0).normal(size=(2, side, side)).astype(np.float32))
    product = jax.jit(jnp.matmul)
    return lambda: product(a, b)


def parts(experiment, batch) -> dict:
    """Name -> a call without arguments: the whole step and its pieces, on the same state and batch."""
    config, state = experiment.config, experiment.init()
    keys = example_keys(step_key(config.seed, "train", 0), batch["id"])

    def loss(params, keys):
        features = experiment.model.apply({"params": params["model"]}, batch, keys=keys)
        variables = {"params": params["objective"], "state": state.objective_state}
        return experiment.objective.apply(variables, features, batch, train=True, mutable=["state"])[0][0]

    def update(state, grads):
        updates, moments = experiment.tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = state.ema and moving_average(state.ema, params, config.ema_decay, state.step)
        return state.replace(params=params, opt_state=moments, ema=ema)

    grads = jax.jit(jax.grad(loss))(state.params, keys)
    forward, backward = jax.jit(loss), jax.jit(jax.value_and_grad(loss))
    return {
        "step": Chained(experiment.compile_step()[0], experiment.init(), batch),
        "forward": lambda: forward(state.params, keys),
        "forward without noise": lambda: forward(state.params, None),
        "forward and backward": lambda: backward(state.params, keys),
        "update": Chained(jax.jit(lambda s, g: (update(s, g), ()), donate_argnums=0), experiment.init(), grads),
    }


class Chained:
    """Calls `step(state, x) -> (state, out)` on the state of the call before, which it uses up, as training does."""

    def __init__(self, step, state, x):
        self._step, self._state, self._x = step, state, x

    def __call__(self):
        self._state, out = self._step(self._state, self._x)
        return self._state.step, out


def matrix_products(experiment) -> list[tuple]:
    """[(call, times)]: each distinct matrix product of the step alone, and how often the step does it."""
    counts = collections.Counter()
    find_products(jax.make_jaxpr(experiment.train_step())(experiment.state, experiment.batch).jaxpr, 1, counts)
    return [(lone_product(*key), times) for key, times in counts.items()]


def find_products(jaxpr, times: int, counts: collections.Counter) -> None:
    """Count the products of a jaxpr by shapes and dimension numbers, those in a scan by its length."""
    for e in jaxpr.eqns:
        if e.primitive.name == "dot_general":
            left, right = (v.aval for v in e.invars)
            counts[left.shape, left.dtype, right.shape, right.dtype, e.params["dimension_numbers"]] += times
        inner = times * e.params["length"] if e.primitive.name == "scan" else times
        for sub in jaxprs_in_params(e.params):
            find_products(sub, inner, counts)


def lone_product(left, left_dtype, right, right_dtype, dimension_numbers):
    a, b = jax.device_put((np.full(left, 0.5, left_dtype), np.full(right, 0.5, right_dtype)))
    product = jax.jit(lambda a, b: jax.lax.dot_general(a, b, dimension_numbers))
    return lambda: product(a, b)


if __name__ == "__main__":
    main()
