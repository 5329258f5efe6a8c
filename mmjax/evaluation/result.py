"""What every evaluation returns."""

from typing import NamedTuple


class Result(NamedTuple):
    """Metrics by name, and for some of them what a random answer reaches."""

    metrics: dict[str, float]
    chance: dict[str, float] = {}  # noqa: RUF012  never changed
