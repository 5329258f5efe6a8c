"""Made-up pairs with hubs: gallery items that lie near a direction which all queries share."""

import numpy as np


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def hub_pairs(seed, *, greatest=1.0, tests=1000, bank=2000, width=64):
    """Queries and gallery tested, then those of the banks; row i of either belong together.

    With z, e ~ N(0, I / width), a shared unit vector m and a ~ U(0, greatest): gallery z + a m and query
    z + 1.5 e + 1.5 m, both of unit norm.
    """
    rng = np.random.default_rng(seed)
    shared = unit(rng.normal(size=(1, width)))

    def pairs(count):
        z, e = rng.normal(size=(2, count, width)) / width**0.5
        return unit(z + 1.5 * e + 1.5 * shared), unit(z + rng.uniform(0, greatest, (count, 1)) * shared)

    return *pairs(tests), *pairs(bank)


def recall_at_1(queries, gallery):
    """Share of the rows whose own one of the gallery is the nearest."""
    return np.mean((queries @ gallery.T).argmax(1) == np.arange(len(queries)))
