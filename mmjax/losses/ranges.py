"""What a loss demands of its numbers, where their value is known; traced ones pass."""

import jax


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


def check_choice(name: str, value, choices) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: give one of {', '.join(map(repr, choices))}")
