"""Conditions on the fields of a sample, written as (field, operator, value): ("similarity", ">=", 0.28)."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass

from mmjax.errors import UserError

OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, wanted: value in wanted,
    "not in": lambda value, wanted: value not in wanted,
    "contains": lambda value, wanted: wanted in value,
}
WHERE = "config.data.where"


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        field: whose value counts.
        name: of the operator, in OPERATORS.
        value: what it is compared with. Against a number (or a tuple of them), the text "0.3" of a table is one too.
    """

    field: str
    name: str
    value: object

    def __call__(self, found) -> bool:
        """Whether a sample's value meets it; UserError if the two cannot be compared.

        An empty cell of a table is no number, and meets nothing that is asked of numbers.
        """
        if self._numeric and isinstance(found, str) and not found.strip():
            return False
        try:
            return bool(OPERATORS[self.name](self._comparable(found), self.value))
        except (TypeError, ValueError) as error:
            what = f"cannot tell whether {self.field} = {found!r} is {self.name} {self.value!r}: {error}"
            raise UserError(what, where=WHERE, remedy="compare numbers with numbers, and texts with texts") from error

    @property
    def _numeric(self) -> bool:
        example = self.value[0] if isinstance(self.value, tuple | list) and self.value else self.value
        return isinstance(example, int | float) and not isinstance(example, bool)

    def _comparable(self, found):
        return float(found) if self._numeric and isinstance(found, str) else found


def make_conditions(where: Sequence) -> list[Condition]:
    """The conditions of `config.data.where`; UserError for one that is none."""
    for entry in where:
        if not (isinstance(entry, tuple | list) and len(entry) == 3 and entry[1] in OPERATORS):
            remedy = f'write (("width", ">=", 200),), with one of {", ".join(OPERATORS)}'
            raise UserError(f"{entry!r} is no condition", where=WHERE, remedy=remedy)
    return [Condition(*entry) for entry in where]
