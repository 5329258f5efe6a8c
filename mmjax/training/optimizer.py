"""The optimiser of a config: update rule, decay and learning-rate factors by parameter pattern, freezing, clipping."""

import re
from collections.abc import Callable

import jax
import optax

from mmjax.errors import UserError
from mmjax.mesh import path_name


def build_optimizer(config, params, schedule) -> optax.GradientTransformation:
    """Clip, direction, decay, learning rate; frozen parameters get no update and hold no moments.

    The decay is decoupled (Loshchilov & Hutter 2019, arXiv 1711.05101): p <- p - lr * factor * (direction + wd * p).

    Args:
        config: the experiment's config; reads `config.optimizer`.
        params: tree of arrays or shapes, for the patterns.
        schedule: step -> learning rate.

    Raises:
        UserError: for a rule that matches no parameter.
    """
    o = config.optimizer
    factors = parameter_factors(params, o.rules)
    decayed = decayed_parameters(params, o.no_decay)
    decay = {name: o.weight_decay * factors[name][1] * decayed[name] for name in factors}
    steps = [optax.clip_by_global_norm(o.clip_norm)] if o.clip_norm else []
    steps += [
        DIRECTIONS[o.name](o),
        _for_each_parameter(lambda name, u, p: u + decay[name] * p if decay[name] else u),
        *([optax.scale_by_trust_ratio()] if o.name == "lamb" else []),
        _for_each_parameter(lambda name, u, p: u if factors[name][0] == 1 else u * factors[name][0]),
        optax.scale_by_learning_rate(schedule),
    ]
    frozen = frozen_parameters(params, o.rules)
    if not any(jax.tree.leaves(frozen)):
        return _promoting(optax.chain(*steps))
    labels = jax.tree.map(lambda f: "frozen" if f else "trained", frozen)
    return _promoting(optax.partition({"trained": optax.chain(*steps), "frozen": optax.set_to_zero()}, labels))


def parameter_factors(params, rules) -> dict[str, tuple[float, float]]:
    """Parameter path -> (learning-rate factor, decay factor) of the first rule found in it, or (1, 1)."""
    names = _names(params)
    for pattern, *_ in rules:
        if not any(re.search(pattern, n) for n in names):
            raise UserError(
                f"the pattern {pattern!r} matches no parameter",
                where="config.optimizer.rules",
                remedy=f"parameters are named like {', '.join(names[:: max(len(names) // 4, 1)])}",
            )
    return {n: next(((float(lr), float(wd)) for p, lr, wd in rules if re.search(p, n)), (1.0, 1.0)) for n in names}


def frozen_parameters(params, rules):
    """A tree like `params` of bools: True where a rule gives the learning-rate factor 0."""
    factors = parameter_factors(params, rules)
    return jax.tree_util.tree_map_with_path(lambda path, _: factors[path_name(path)][0] == 0, params)


def decayed_parameters(params, no_decay: str) -> dict[str, bool]:
    """Parameter path -> whether weight decay applies: to matrices whose path `no_decay` does not match."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {
        path_name(p): _axes_of_one_layer(path_name(p), x) >= 2 and not re.search(no_decay, path_name(p))
        for p, x in leaves
    }


def _axes_of_one_layer(name: str, x) -> int:
    """Number of axes without the one along which scan stacks the layers of `blocks`."""
    return x.ndim - bool(re.search(r"(^|/)blocks/", name))


def _adam(o):
    return optax.scale_by_adam(o.b1, o.b2, o.eps)


def _adafactor(o):
    # As big_vision's variant for ViTs (Zhai et al. 2022, arXiv 2106.04560): factored second moment, plain momentum.
    rms = optax.scale_by_factored_rms(decay_rate=0.8, epsilon=1e-30)
    return optax.chain(rms, optax.clip_by_block_rms(1.0), optax.trace(o.b1))


def _muon(o):
    """Orthogonalised momentum for the matrices inside the blocks (Jordan et al. 2024), Adam for all else."""

    def dimensions(params):
        return jax.tree_util.tree_map_with_path(_muon_dimensions, params)

    def labels(params):
        return jax.tree_util.tree_map_with_path(lambda p, x: "muon" if _muon_dimensions(p, x) else "adam", params)

    # Updates as large as Adam's, so that one learning rate serves both (Liu et al. 2025, arXiv 2502.16982, eq. 4).
    like_adam = _for_each_parameter(lambda name, u, p: u * (0.2 * max(u.shape[-2:]) ** 0.5))
    muon = optax.chain(optax.contrib.scale_by_muon(beta=o.b1, weight_dimension_numbers=dimensions), like_adam)
    return optax.partition({"muon": muon, "adam": _adam(o)}, labels)


def _muon_dimensions(path, x):
    """A block's kernel (..., inputs, outputs) is a matrix to Muon, once for each layer that scan stacks."""
    if not re.search(r"(^|/)blocks(_\d+)?/.*kernel$", path_name(path)):
        return None
    return optax.contrib.MuonDimensionNumbers(reduction_axis=x.ndim - 2, output_axis=x.ndim - 1)


DIRECTIONS = {
    "adamw": _adam,
    "lamb": _adam,
    "lion": lambda o: optax.scale_by_lion(o.b1, o.b2),
    "sgd": lambda o: optax.trace(o.b1),
    "adafactor": _adafactor,
    "muon": _muon,
}


def _for_each_parameter(change: Callable) -> optax.GradientTransformation:
    """A stateless step: update <- change(path, update, parameter)."""

    def update(updates, state, params=None):
        return jax.tree_util.tree_map_with_path(lambda p, u, x: change(path_name(p), u, x), updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _promoting(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """optax raises floats to integer counts, which JAX's strict promotion would refuse."""

    def update(updates, state, params=None):
        with jax.numpy_dtype_promotion("standard"):
            return tx.update(updates, state, params)

    return optax.GradientTransformation(tx.init, update)


def _names(params) -> list[str]:
    return [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
