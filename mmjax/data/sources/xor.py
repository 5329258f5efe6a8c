"""Vectors whose modalities tell nothing in pairs and everything together."""

import numpy as np


def xor_vectors(rng: np.random.Generator, rows: int, modalities: int, dims: int, p: float) -> list[np.ndarray]:
    """`modalities` arrays (rows, dims) float32 of zeros and ones; the last is the XOR of all others, or the first.

    All but the last are fair coins. For each row, with probability `p` the last one is the XOR of the others, and
    otherwise a copy of the first. At p = 1 any M - 1 modalities are independent, and all M together have
    dims * ln 2 nats of total correlation (the synthetic data of Symile, Saporta et al. 2024, arXiv 2411.01053: three
    modalities of 5 dims, and eight of 1).

    Args:
        rng: where the coins come from.
        rows: samples.
        modalities: M >= 2.
        dims: width of each.
        p: share of the rows, in expectation, that are XORs.
    """
    coins = rng.integers(0, 2, (modalities - 1, rows, dims))
    xor = np.bitwise_xor.reduce(coins, axis=0)
    mixed = rng.random((rows, 1)) < p
    last = np.where(mixed, xor, coins[0])
    return [array.astype(np.float32) for array in (*coins, last)]
