"""What every loss of two views keeps, whatever it computes; each function here is one property of a `Case`.

The judge is a float64 evaluation in plain numpy: `reference(x, y, x_present, y_present)` or, for a loss that stops the
gradient at its targets, `reference(x, y, x_present, y_present, x_target, y_target)`, of which only x and y are varied.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

ROWS, WIDTH = 8, 4
PRESENT = np.array([1, 1, 0, 1, 1, 1, 0, 1], bool), np.array([1, 0, 1, 1, 1, 1, 0, 1], bool)


class Case(NamedTuple):
    """`loss(x, y, x_present, y_present, rows)`; `rows` tells which examples x and y are, for ids and the like."""

    loss: Callable
    reference: Callable
    unit: bool = True
    stops: bool = False


def normal_rows(seed, shape=(ROWS, WIDTH)):
    return np.random.default_rng(seed).normal(size=shape)


def unit_rows(seed, shape=(ROWS, WIDTH)):
    x = normal_rows(seed, shape)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def waves():
    """Six pairs of rows, the same in the torch runs whose results stand as constants in the tests."""
    i, d = np.arange(6.0)[:, None], np.arange(4.0)[None]
    x = np.sin(1 + 2 * i + 3 * d + i * d)
    return [jnp.asarray(rows, jnp.float32) for rows in (x, x + 0.5 * np.cos(i * (d + 1)))]


def value_is_the_papers(case):
    x, y = examples(case)
    for present in ((None, None), PRESENT):
        value, _ = evaluate(case, x, y, *present)
        assert value.dtype == jnp.float32 and value.shape == ()
        np.testing.assert_allclose(value, judge(case, x, y, *present), rtol=2e-6, atol=1e-7)


def gradients_are_those_of_the_paper(case):
    x, y = examples(case)
    for present in ((None, None), PRESENT):
        _, gradients = evaluate(case, x, y, *present)
        for got, expected in zip(gradients, central_differences(case, x, y, present), strict=True):
            assert_close(got, expected)


def bfloat16_rows_are_computed_in_float32(case):
    x, y = (jnp.asarray(rows, jnp.bfloat16) for rows in examples(case))
    value = jax.jit(lambda x, y: case.loss(x, y, None, None, np.arange(ROWS)))(x, y)
    assert value.dtype == jnp.float32
    exact = judge(case, *(np.asarray(rows, np.float64) for rows in (x, y)), None, None)
    np.testing.assert_allclose(value, exact, rtol=1e-5, atol=1e-6)


def absent_rows_have_no_say(case):
    x, y = examples(case)
    value, gradients = evaluate(case, x, y, *PRESENT)
    emptied = [np.where(p[:, None], rows, np.nan) for rows, p in zip((x, y), PRESENT, strict=True)]
    same_value, same_gradients = evaluate(case, *emptied, *PRESENT)
    np.testing.assert_array_equal(same_value, value)
    for got, expected, present in zip(same_gradients, gradients, PRESENT, strict=True):
        np.testing.assert_array_equal(got, expected)
        assert not np.asarray(got)[~present].any()


def rows_missing_in_both_might_not_be_there(case):
    x, y = examples(case)
    there = np.array([0, 1, 3, 4, 6])
    present = np.isin(np.arange(ROWS), there)
    value, gradients = evaluate(case, x, y, present, present)
    expected, expected_gradients = evaluate(case, x[there], y[there], None, None, rows=there)
    np.testing.assert_allclose(value, expected, rtol=2e-6, atol=1e-7)
    for got, wanted in zip(gradients, expected_gradients, strict=True):
        assert_close(got[there], wanted)


def nothing_present_is_zero(case):
    nowhere, everywhere = np.zeros(ROWS, bool), np.ones(ROWS, bool)
    for present in ((nowhere, nowhere), (nowhere, everywhere)):
        for got in jax.tree.leaves(evaluate(case, *examples(case), *present)):
            np.testing.assert_array_equal(got, np.zeros_like(got))


def sharding_changes_nothing(case):
    x, y = examples(case)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharded = NamedSharding(mesh, PartitionSpec("data"))
    expected = evaluate(case, x, y, *PRESENT)
    got = evaluate(case, x, y, *PRESENT, place=lambda array: jax.device_put(array, sharded))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert_close(a, b)


OF_EVERY_LOSS = [
    value_is_the_papers,
    gradients_are_those_of_the_paper,
    bfloat16_rows_are_computed_in_float32,
    absent_rows_have_no_say,
    rows_missing_in_both_might_not_be_there,
    nothing_present_is_zero,
    sharding_changes_nothing,
]


def assert_close(got, expected):
    """Equal to 1e-5, or, where terms cancel to an entry that is small beside the others, to 1e-6 of the largest."""
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6 * max(np.abs(expected).max(), 1))


def examples(case):
    return (unit_rows(0), unit_rows(1)) if case.unit else (normal_rows(0), normal_rows(0) + 0.7 * normal_rows(1))


def evaluate(case, x, y, x_present, y_present, *, rows=range(ROWS), place=jnp.asarray):
    """Value and gradients by x and y, compiled; presence is an input, so that no value of it is known when traced."""
    arrays = jax.tree.map(place, (np.float32(x), np.float32(y), x_present, y_present))
    return compiled(case, tuple(rows))(*arrays)


@functools.cache
def compiled(case, rows):
    return jax.jit(jax.value_and_grad(lambda *arrays: case.loss(*arrays, np.array(rows)), (0, 1)))


def judge(case, x, y, x_present, y_present, targets=None):
    present = [np.ones(len(x), bool) if p is None else p for p in (x_present, y_present)]
    return case.reference(x, y, *present, *((targets or (x, y)) if case.stops else ()))


def central_differences(case, x, y, present, step=1e-6):
    gradients = np.zeros_like(x), np.zeros_like(y)
    for side, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            values = []
            for sign in (1, -1):
                moved = [x.copy(), y.copy()]
                moved[side][index] += sign * step
                values.append(judge(case, *moved, *present, targets=(x, y)))
            gradient[index] = (values[0] - values[1]) / (2 * step)
    return gradients
