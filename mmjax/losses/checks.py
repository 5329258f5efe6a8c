"""What a loss demands of its arguments, told when it is traced: which argument, its shape, what to do."""

import jax
import jax.numpy as jnp
import numpy as np


def check_rows(**arrays) -> None:
    """Raise ValueError unless all named arrays are floating (B, D) of one shape.

    Concrete arrays must be finite too; under `jit` values are not known, and the training loop watches the loss.
    """
    (first, x), *others = arrays.items()
    for name, array in arrays.items():
        if array.ndim != 2 or not jnp.issubdtype(array.dtype, jnp.floating):
            raise ValueError(f"{name} is {array.dtype} {array.shape}: give floating (batch, width) embeddings")
        check_finite(name, array)
    for name, y in others:
        if y.shape != x.shape:
            raise ValueError(f"{first} {x.shape} and {name} {y.shape} must have the same shape (batch, width)")


def check_finite(name: str, array) -> None:
    """Raise ValueError naming the first row of a concrete `array` that is not finite; traced arrays pass."""
    if isinstance(array, jax.core.Tracer):
        return
    finite = np.isfinite(np.asarray(array, np.float32)).reshape(len(array), -1).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(f"row {row} of {name} {array.shape} is not finite: mark it absent, or mend what made it")


def check_scale(scale) -> None:
    """Raise ValueError unless `scale` is a number or (), and above 0 where its value is known."""
    if jnp.ndim(scale) != 0:
        raise ValueError(f"scale has shape {jnp.shape(scale)}: give one number, the factor of the similarities")
    if not isinstance(scale, jax.core.Tracer) and not float(scale) > 0:
        raise ValueError(f"scale is {float(scale)}: give the factor 1/temperature itself, above 0, not its logarithm")


def check_vector(name: str, vector, rows: int) -> None:
    """Raise ValueError unless `vector` is None or (rows,)."""
    if vector is not None and tuple(vector.shape) != (rows,):
        raise ValueError(f"{name} {tuple(vector.shape)} must be ({rows},): one for each row of the batch")


def check_ids(ids, rows: int) -> None:
    """Raise ValueError unless `ids` is None or (rows,) integers."""
    check_vector("ids", ids, rows)
    if ids is not None and not jnp.issubdtype(ids.dtype, jnp.integer):
        raise ValueError(f"ids are {ids.dtype}: give integers, equal ones for positives of each other")


def check_present(name: str, present, rows: int) -> None:
    """Raise ValueError unless `present` is None or (rows,) bool."""
    check_vector(name, present, rows)
    if present is None:
        return
    if present.dtype != jnp.bool_:
        raise ValueError(f"{name} is {present.dtype}: give booleans, True for samples that are there")


def check_above_0(**numbers) -> None:
    """Raise ValueError naming the first of `numbers` that is not above 0."""
    for name, number in numbers.items():
        if not isinstance(number, jax.core.Tracer) and not number > 0:
            raise ValueError(f"{name} is {number}: give a number above 0")


def check_not_negative(**numbers) -> None:
    """Raise ValueError naming the first of `numbers` that is below 0."""
    for name, number in numbers.items():
        if not isinstance(number, jax.core.Tracer) and not number >= 0:
            raise ValueError(f"{name} is {number}: give 0 or more")


def check_share(name: str, value: float) -> None:
    """Raise ValueError unless `value` is at least 0 and below 1."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} {value} is a share: give 0 <= {name} < 1")


def check_choice(name: str, value, choices) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: give one of {', '.join(map(repr, choices))}")
