"""Every random choice comes from (seed, purpose, step) and, for one example, its id.

So the same example at the same step gets the same dropout mask and the same augmentation whatever the mesh, the
micro-batching, the number of processes or workers, and after any restart.
"""

import functools
import hashlib

import numpy as np


@functools.lru_cache(4096)
def purpose_number(purpose: str) -> int:
    """A 31-bit number for a purpose such as "augment"; a stable hash, unlike Python's own."""
    return int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:4], "little") >> 1


def numpy_generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """The host-side generator of one choice, for example `numpy_generator(seed, "augment", step, id)`.

    Args:
        seed: the run's seed.
        purpose: what the choice is for; different purposes give independent generators.
        *numbers: non-negative integers, usually the step and the example's id.
    """
    entropy = [seed, purpose_number(purpose), *(int(n) for n in numbers)]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


def step_key(seed, purpose: str, step):
    """The key of one purpose at one step; `seed` and `step` may be traced integers."""
    import jax

    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), purpose_number(purpose)), step)


def example_keys(key, ids):
    """One key for each example, (B,) typed keys from `key` and the examples' `ids` (B,) int32."""
    import jax

    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, ids)


def fold_keys(keys, number: int):
    """The (B,) `keys` folded with one number, for example a layer's index, to make an independent set."""
    import jax

    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, number)
