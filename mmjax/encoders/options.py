"""Checks of encoder options, made when the encoder is built."""

import difflib
from collections.abc import Iterable

from mmjax.errors import UserError


def check_choice(where: str, value: str, choices: Iterable[str]) -> None:
    """Raise `UserError` naming the nearest of `choices` unless `value` is one of them."""
    choices = sorted(choices)
    if value in choices:
        return
    close = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.0)
    raise UserError(
        f"{where} cannot be {value!r}", where=where, remedy=f"did you mean {close[0]!r}? known: {', '.join(choices)}"
    )


def check_rates(kind: str, **rates: float) -> None:
    """Raise `UserError` unless every rate lies in [0, 1)."""
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise UserError(f"{name} is {rate}", where=f"{kind}.{name}", remedy="give a rate of at least 0 and below 1")


def check_multiple(where: str, value: int, of: int, what: str) -> None:
    """Raise `UserError` unless `value` is a positive multiple of `of`, which is `what`."""
    if of < 1 or value < 1 or value % of:
        below = max(value // max(of, 1), 1) * max(of, 1)
        raise UserError(
            f"{where} {value} is not a multiple of {what} {of}", where=where, remedy=f"use a multiple, such as {below}"
        )
