"""Linear probe: multinomial logistic regression on frozen embeddings, its regulariser chosen on a validation split.

The protocol of CLIP (Radford et al. 2021, appendix A.3): L-BFGS on the whole data, the L2 strength swept, the chosen
one fitted again on training and validation rows together.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mmjax.errors import UserError
from mmjax.evaluation import inputs, sharded
from mmjax.evaluation.zeroshot import class_numbers, zero_shot
from mmjax.rng import numpy_generator

STRENGTHS = tuple(float(s) for s in np.logspace(-6, 0, 13))
MAX_STEPS = 1000
TOLERANCE = 1e-5  # of the largest gradient entry; float32 reaches about 1e-7


def linear_probe(
    train,
    train_labels,
    test,
    test_labels,
    *,
    validation: tuple | None = None,
    strengths: Sequence[float] = STRENGTHS,
    block: int = 4096,
    mesh: Mesh | None = None,
) -> dict[str, float]:
    """`acc1`, `acc5`, `mean_per_class_recall` on the test rows, and `l2`, the strength chosen.

    Args:
        train, test: (N, D), (M, D) rows.
        train_labels, test_labels: (N,), (M,) integers, not necessarily contiguous.
        validation: (rows, labels) to choose the strength on; if not given, a fixed random fifth of the training rows.
        strengths: values of `l2` in mean cross-entropy + l2/2 |weights|^2 (scikit-learn's C is 1 / (N l2)). The best
            `acc1` on the validation rows wins, the larger strength if several do.
        block: rows whose logits exist at a time.
        mesh: devices to use; this process's first one if not given.

    Raises:
        UserError: a test label never seen in training, a single class, a strength that is not positive, arrays that do
            not fit together, an embedding that is not finite.
    """
    train, test = inputs.pair(train, test, ("training", "test"))
    train_labels = inputs.integers(train_labels, len(train), "training labels")
    test_labels = inputs.integers(test_labels, len(test), "test labels")
    rows, labels, held_out = _with_validation(train, train_labels, validation)
    classes, numbers = np.unique(labels, return_inverse=True)
    _check(classes, strengths)
    test_numbers = class_numbers(test_labels, classes)
    mesh = mesh or sharded.one_device()
    fit = _fitter(rows, numbers, block, mesh)
    best, best_accuracy, start = None, -1.0, None
    weights = np.zeros((len(classes), rows.shape[1] + 1), np.float32)
    for strength in sorted(strengths, reverse=True):  # each fit starts from the next stronger one
        weights = fit(weights, ~held_out, strength)
        accuracy = zero_shot(_with_bias(rows[held_out]), numbers[held_out], weights, mesh=mesh)["acc1"]
        if accuracy > best_accuracy:
            best, best_accuracy, start = strength, accuracy, weights
    weights = fit(start, np.ones(len(rows), bool), best)
    return zero_shot(_with_bias(test), test_numbers, weights, mesh=mesh) | {"l2": float(best)}


def _with_validation(train, labels, validation):
    """All rows to fit, their labels, and which of them (bool) are held out to choose the strength."""
    if validation is None:
        if len(train) < 2:
            raise UserError("one training row cannot be split into training and validation", remedy="give validation")
        order = numpy_generator(0, "linear probe validation").permutation(len(train))
        held_out = np.zeros(len(train), bool)
        held_out[order[: max(1, len(train) // 5)]] = True
        return train, labels, held_out
    train, rows = inputs.pair(train, validation[0], ("training", "validation"))
    more = inputs.integers(validation[1], len(rows), "validation labels")
    held_out = np.arange(len(train) + len(rows)) >= len(train)
    return np.concatenate([train, rows]), np.concatenate([labels, more]), held_out


def _check(classes, strengths) -> None:
    if len(classes) < 2:
        raise UserError(f"all training rows have the label {classes[0]}", remedy="give at least two classes")
    if not strengths or min(strengths) <= 0:
        raise UserError(f"regulariser strengths {tuple(strengths)}", remedy="give one or more positive numbers")


def _with_bias(x: np.ndarray) -> np.ndarray:
    """(N, D + 1): a last column of ones, so that one (C, D + 1) matrix holds the weights and the biases."""
    return np.concatenate([x, np.ones((len(x), 1), x.dtype)], axis=1)


def _fitter(rows, numbers, block: int, mesh: Mesh):
    """fit(start (C, D + 1), used (N,) bool, l2) -> (C, D + 1); every call runs the same compiled program."""
    devices = sharded.shards(mesh)
    block = -(-min(block, len(rows)) // devices) * devices
    blocks = -(-len(rows) // block)
    # Every device has a part of every block.
    rows_of_block = NamedSharding(mesh, PartitionSpec(None, sharded.batch_axes(mesh)))
    put = partial(sharded.blocked, blocks=blocks, block=block, sharding=rows_of_block)
    minimise = jax.jit(_minimise, out_shardings=NamedSharding(mesh, PartitionSpec()))
    x, label = put(_with_bias(rows)), put(numbers.astype(np.int32))

    def fit(start, used, l2):
        share = put((used / used.sum()).astype(np.float32))
        return np.asarray(minimise(start, {"x": x, "label": label, "share": share}, np.float32(l2)))

    return fit


def _minimise(weights, rows, l2):
    """The weights (C, D + 1) of least `_loss`, by L-BFGS with a zoom line search."""
    solver = optax.lbfgs()
    loss = partial(_loss, rows=rows, l2=l2)
    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry):
        weights, state, _, count = carry
        value, grad = value_and_grad(weights, state=state)
        updates, state = solver.update(grad, state, weights, value=value, grad=grad, value_fn=loss)
        slope = jnp.max(jnp.abs(optax.tree.get(state, "grad")))  # at the new weights, from the line search
        return weights + updates, state, slope, count + 1

    def unfinished(carry):
        _, _, slope, count = carry
        return (slope > TOLERANCE) & (count < MAX_STEPS)

    return jax.lax.while_loop(unfinished, step, (weights, solver.init(weights), jnp.float32(jnp.inf), jnp.int32(0)))[0]


def _loss(weights, rows, l2):
    """Cross-entropy averaged by each row's `share`, plus l2/2 |weights|^2 without the biases; one block at a time."""

    @jax.checkpoint  # or the scan would keep every block's logits for the gradient
    def add(total, block):
        logits = jnp.matmul(block["x"], weights.T, precision=jax.lax.Precision.HIGHEST)
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, block["label"])
        return total + jnp.sum(block["share"] * losses), None

    return jax.lax.scan(add, jnp.float32(0), rows)[0] + 0.5 * l2 * jnp.sum(weights[:, :-1] ** 2)
