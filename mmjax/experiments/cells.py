"""What a sweep runs: named changes of one config, times seeds."""

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmjax.errors import UserError

ARGUMENT = "arg"  # of get_config, among the keys of a cell's changes
NAME = re.compile(r"[\w=,.+:@-]+")


@dataclass(frozen=True)
class Sweep:
    """Cells and seeds of a sweep; made by `mmjax.config.sweep`.

    Attributes:
        cells: name -> changes: "arg" is the argument of get_config, every other key a dotted config key.
        seeds: every cell is run with `config.seed` at each.
        baseline: the cell that the others are compared with, or settings such as "loss=softmax", with which each is
            then compared where all its others are the same; empty: none.
        metrics: what the report shows first; none: every share (recall, accuracy) that was measured.
    """

    cells: Mapping[str, Mapping[str, Any]]
    seeds: Sequence[int] = (0, 1, 2)
    baseline: str = ""
    metrics: Sequence[str] = ()

    def __post_init__(self):
        if isinstance(self.metrics, str) or isinstance(self.seeds, str):
            raise UserError("metrics or seeds of a sweep are one text", remedy='give several: metrics=("val/...",)')
        if not self.cells:
            raise UserError("a sweep without cells", remedy="give at least one: {name: {key: value}}")
        for name, changes in self.cells.items():
            _check_cell(name, changes)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"seeds = {self.seeds} of a sweep", remedy="give one or more, each once")
        if self.baseline and not is_baseline(self.baseline, self.cells):
            raise UserError(
                f"the baseline {self.baseline!r} is no cell of the sweep", remedy=f"cells: {'; '.join(self.cells)}"
            )


def grid(choices: Mapping[str, Sequence]) -> dict[str, dict[str, Any]]:
    """Every combination of values: name -> changes, the first key varying slowest.

    A name is such as "temperature=0.05,batch_size=64": of a key, the last parts that tell it from the other keys.

    Args:
        choices: dotted config key, or "arg", -> its values.

    Raises:
        UserError: no values for a key, or values that give the same name.
    """
    for key, values in choices.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise UserError(f"{key} = {values!r} in a grid", remedy="give a tuple of one or more values")
    short = _short_names(list(choices))
    combinations = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
    cells = {_name({short[k]: v for k, v in changes.items()}): changes for changes in combinations}
    if len(cells) < len(combinations):
        raise UserError("two cells of the grid have one name", remedy="give values that differ, or name the cells")
    return cells


def baseline_of(baseline: str, cell: str, cells: Collection[str]) -> str:
    """The cell that another one is compared with; empty if that is itself or there is none.

    Args:
        baseline: a cell, or settings such as "loss=softmax" of grid names.
        cell: which is compared.
        cells: all names.
    """
    settings = _settings(cell) | _settings(baseline)
    other = baseline if baseline in cells else ",".join(f"{key}={value}" for key, value in settings.items())
    return other if other in cells and other != cell and baseline else ""


def is_baseline(baseline: str, cells: Collection[str]) -> bool:
    """Whether a name is a cell's, or settings with which some cell can be compared."""
    return baseline in cells or any(baseline_of(baseline, cell, cells) for cell in cells)


def numeric_axis(names: Sequence[str]) -> tuple[str, dict[str, dict[float, str]]] | None:
    """The last key of grid names whose values are numbers, three or more of them, so that results can be drawn over it.

    Returns:
        (key, lines): lines has, by the rest of the names, value -> name. None if there is no such key, or the names are
        not all such as `grid` makes them, of the same keys.
    """
    parsed = [_settings(name) for name in names]
    if any(list(p) != list(parsed[0]) or name.count(",") + 1 != len(p) for name, p in zip(names, parsed, strict=True)):
        return None
    for key in reversed(parsed[0]):
        values = [_number(p[key]) for p in parsed]
        if None not in values and len(set(values)) > 2:
            lines: dict[str, dict[float, str]] = {}
            for name, value, p in zip(names, values, parsed, strict=True):
                rest = ",".join(f"{k}={v}" for k, v in p.items() if k != key)
                lines.setdefault(rest, {})[value] = name
            return key, lines
    return None


def _settings(name: str) -> dict[str, str]:
    """Key -> value of a grid name."""
    return dict(part.split("=", 1) for part in name.split(",") if "=" in part)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _short_names(keys: list[str]) -> dict[str, str]:
    """Each key with its shortest end, in whole parts, that is the end of no other key."""
    ends = {key: [".".join(key.split(".")[-n:]) for n in range(1, key.count(".") + 2)] for key in keys}
    others = {key: {end for other in keys if other != key for end in ends[other]} for key in keys}
    return {key: next((end for end in ends[key] if end not in others[key]), key) for key in keys}


def _name(values: Mapping[str, Any]) -> str:
    text = ",".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())
    return "".join(NAME.findall(text))


def _check_cell(name: str, changes: Mapping) -> None:
    """A name is a folder; changes are by dotted key."""
    if not NAME.fullmatch(name) or name.startswith("."):
        remedy = "use letters, digits and = , . + : @ _ -"
        raise UserError(f"the cell name {name!r} cannot be a folder's", where="get_sweep", remedy=remedy)
    if not isinstance(changes, Mapping):
        remedy = 'write {"objectives.loss.temperature": 0.05}'
        raise UserError(f"the changes of cell {name!r} are no dictionary", where="get_sweep", remedy=remedy)
    if "seed" in changes:
        raise UserError("a cell changes the seed", where=f"cell {name!r}", remedy="give seeds=(...) instead")
