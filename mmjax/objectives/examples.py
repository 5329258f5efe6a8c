"""What an objective remembers of single examples of its source, in variables that `batch["id"]` indexes."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.objectives.wiring import rows_of


def example_state(module: nn.Module, name: str, fill: float, columns: int):
    """The variable "example_<name>", (rows, columns) float32, `fill` at first, for every example of the source.

    Raises:
        UserError: if the objective was not told how many examples there are.
    """
    if module.examples < 1:
        where = f"objective {module.name}.examples"
        raise UserError(
            "no example to keep anything of", where=where, remedy="give the number of samples of data.source"
        )
    rows = rows_of(module.examples)
    return module.variable("state", f"example_{name}", lambda: jnp.full((rows, columns), fill, jnp.float32))


def write_examples(variable, ids, values, valid) -> None:
    """Puts a batch's `values` (B, columns) into the rows `ids` (B,) of a variable, where `valid` (B,) or (B, columns).

    Of rows with equal ids the last valid one counts, on any device: a scatter alone would leave open which.
    """
    rows, columns = variable.value.shape
    if valid.ndim == 1:
        chosen = jnp.where(_last_of_each(ids, valid), ids, rows)  # out of range: dropped
        variable.value = variable.value.at[chosen].set(values, mode="drop")
        return
    for column in range(columns):
        chosen = jnp.where(_last_of_each(ids, valid[:, column]), ids, rows)
        variable.value = variable.value.at[chosen, column].set(values[:, column], mode="drop")


def _last_of_each(ids, valid):
    """(B,) bool: the last valid row of every id."""
    keys = jnp.where(valid, ids, -1)
    order = jnp.argsort(keys, stable=True)
    ordered = keys[order]
    last = jnp.concatenate([ordered[1:] != ordered[:-1], jnp.ones(1, bool)]) & (ordered >= 0)
    return jnp.zeros_like(valid).at[order].set(last)
