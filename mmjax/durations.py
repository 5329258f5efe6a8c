"""Durations in any unit: "300 steps", "2 epochs", "50_000 examples", "5%", or a plain number of steps."""

import math
import re
from typing import NamedTuple

from mmjax.errors import UserError

UNITS = {"step": "steps", "epoch": "epochs", "example": "examples", "%": "percent", "percent": "percent"}
MULTIPLIERS = {"": 1, "k": 1_000, "M": 1_000_000, "B": 1_000_000_000}


class Duration(NamedTuple):
    """A span of training: an amount of "steps", "epochs", "examples" or "percent" of the run."""

    amount: float
    unit: str


def parse_duration(text: str | int, *, where: str = "") -> Duration:
    """Read a duration such as "20 epochs" or "12.8M examples".

    Raises:
        UserError: if the text is no duration.
    """
    match = re.fullmatch(r"\s*([\d_.]+(?:e\d+)?)\s*([kMB]?)\s*(?:(step|epoch|example|percent)s?|(%))?\s*", str(text))
    try:
        amount = float(match[1].replace("_", "")) * MULTIPLIERS[match[2]]
    except (TypeError, ValueError):
        raise UserError(
            f"{text!r} is not a duration",
            where=where,
            remedy="write '300 steps', '2 epochs', '50k examples' or '5%'",
        ) from None
    return Duration(amount, UNITS[match[3] or match[4] or "step"])


def to_steps(text: str | int, *, batch_size: int, examples: int, total: int | None = None, where: str = "") -> int:
    """The duration in whole steps, rounded up.

    Args:
        text: the duration.
        batch_size: examples of a step.
        examples: examples of an epoch.
        total: steps of the whole run, for percentages; the run's own length cannot be a percentage.
        where: the key, for messages.
    """
    amount, unit = parse_duration(text, where=where)
    if unit == "percent" and total is None:
        raise UserError(f"{text!r} is a share of nothing", where=where, remedy="give steps, epochs or examples")
    per_unit = {"steps": 1, "epochs": examples / batch_size, "examples": 1 / batch_size, "percent": (total or 0) / 100}
    return math.ceil(round(amount * per_unit[unit], 6))
