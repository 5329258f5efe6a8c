"""Parameters of scanned blocks to those of unrolled blocks and back."""

import re

import jax
import jax.numpy as jnp


def stack_blocks(params: dict) -> dict:
    """`blocks_0`, `blocks_1`, ... of every encoder in the tree stacked to `blocks`, layers first."""
    if not isinstance(params, dict):
        return params
    numbered = sorted((k for k in params if re.fullmatch(r"blocks_\d+", k)), key=lambda k: int(k.split("_")[1]))
    stacked = {k: stack_blocks(v) for k, v in params.items() if k not in numbered}
    if numbered:
        stacked["blocks"] = jax.tree.map(lambda *layers: jnp.stack(layers), *(params[k] for k in numbered))
    return stacked


def unstack_blocks(params: dict) -> dict:
    """The inverse of `stack_blocks`."""
    if not isinstance(params, dict):
        return params
    unstacked = {k: unstack_blocks(v) for k, v in params.items() if k != "blocks"}
    if "blocks" in params:
        depth = len(jax.tree.leaves(params["blocks"])[0])
        for i in range(depth):
            unstacked[f"blocks_{i}"] = jax.tree.map(lambda x, i=i: x[i], params["blocks"])
    return unstacked
