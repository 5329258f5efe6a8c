"""The losses of many modalities in float64 numpy, by explicit loops written from the papers, and their gradients.

`vectors` is a list of M arrays (B, D); `present` a list of M sequences of bool. Nothing is shared with `mmjax.losses`.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np


def unit_vectors(seed, modalities, rows, width):
    """M float64 arrays (B, D) of unit rows."""
    x = np.random.default_rng(seed).normal(size=(modalities, rows, width))
    return list(x / np.linalg.norm(x, axis=2, keepdims=True))


def random_permutations(seed, modalities, rows):
    rng = np.random.default_rng(seed)
    return np.stack([[rng.permutation(rows) for _ in range(modalities - 1)] for _ in range(modalities)])


def everywhere(vectors):
    return [[True] * len(v) for v in vectors]


def log_sum_exp(terms):
    return math.log(math.fsum(math.exp(t) for t in terms))


def mean(values):
    return math.fsum(values) / len(values) if values else 0.0


def symile(vectors, scale, permutations=None, present=None):
    """arXiv 2411.01053: "n" with given permutations, or every tuple of other samples."""
    present = present or everywhere(vectors)
    rows, losses = len(vectors[0]), []
    for m, anchor in enumerate(vectors):
        others = [k for k in range(len(vectors)) if k != m]
        of_modality = []
        for i in range(rows):
            if not all(p[i] for p in present):
                continue
            if permutations is None:
                tuples = [t for t in itertools.product(range(rows), repeat=len(others)) if set(t) != {i}]
            else:
                tuples = [[order[j] for order in permutations[m]] for j in range(rows) if j != i]
            tuples = [t for t in tuples if all(present[k][j] for k, j in zip(others, t, strict=True))]
            z = [scale * np.prod([anchor[i]] + [vectors[k][i] for k in others], axis=0).sum()]
            for t in tuples:
                members = [vectors[k][j] for k, j in zip(others, t, strict=True)]
                z.append(scale * np.prod([anchor[i], *members], axis=0).sum())
            of_modality.append(log_sum_exp(z) - z[0])
        losses.append(mean(of_modality))
    return math.fsum(losses) / len(losses)


def volume(rows):
    """The volume that a list of vectors spans, not below 1e-3."""
    a = np.stack(rows)
    return math.sqrt(max(np.linalg.det(a @ a.T), 1e-6))


def gram(vectors, scale, label_smoothing=0.0, present=None):
    """arXiv 2412.11959; vectors[0] is the anchor."""
    present = present or everywhere(vectors)
    anchor, *others = vectors
    tuples = [all(p) for p in zip(*present[1:], strict=True)]
    rows = range(len(anchor))
    v = [[volume([anchor[i], *(o[j] for o in others)]) for j in rows] for i in rows]
    valid = [i for i in rows if present[0][i] and tuples[i]]
    totals = []
    for logit, there in ((lambda i, j: -scale * v[i][j], tuples), (lambda i, j: -scale * v[j][i], present[0])):
        losses = []
        for i in valid:
            z = [logit(i, j) for j in rows if there[j]]
            partition = log_sum_exp(z)
            hit = (1 - label_smoothing) * (partition - logit(i, i))
            losses.append(hit + label_smoothing * mean([partition - other for other in z]))
        totals.append(mean(losses))
    return math.fsum(totals) / 2


def mv_infonce(vectors, scale, present=None):
    """arXiv 2507.06979, the denominator without pairs of one view."""
    present = present or everywhere(vectors)
    views, rows, losses = range(len(vectors)), range(len(vectors[0])), []
    pairs = list(itertools.permutations(views, 2))
    for i in rows:
        there = [(a, b) for a, b in pairs if present[a][i] and present[b][i]]
        if not there:
            continue
        top = log_sum_exp(scale * vectors[a][i] @ vectors[b][i] for a, b in there)
        below = [
            scale * vectors[a][i] @ vectors[b][j] for a, b in pairs for j in rows if present[a][i] and present[b][j]
        ]
        losses.append(log_sum_exp(below) - top)
    return mean(losses)


def mv_dhel(vectors, scale, present=None):
    """arXiv 2507.06979, j != i."""
    present = present or everywhere(vectors)
    views, rows, losses = range(len(vectors)), range(len(vectors[0])), []
    for i in rows:
        there = [(a, b) for a, b in itertools.permutations(views, 2) if present[a][i] and present[b][i]]
        if not there:
            continue
        loss = -log_sum_exp(scale * vectors[a][i] @ vectors[b][i] for a, b in there)
        for a in views:
            negatives = [scale * vectors[a][i] @ vectors[a][j] for j in rows if j != i and present[a][j]]
            if present[a][i] and negatives:
                loss += log_sum_exp(negatives)
        losses.append(loss)
    return mean(losses)


def finite_differences(loss, vectors, scale, step=1e-6):
    """(gradients of the vectors, gradient of the scale) of a float64 numpy `loss(vectors, scale)`."""
    gradients = [np.zeros_like(v) for v in vectors]
    for m, v in enumerate(vectors):
        for index in np.ndindex(v.shape):
            moved = [[*vectors[:m], v + sign * step * one_at(v.shape, index), *vectors[m + 1 :]] for sign in (1, -1)]
            gradients[m][index] = (loss(moved[0], scale) - loss(moved[1], scale)) / (2 * step)
    return gradients, (loss(vectors, scale + step) - loss(vectors, scale - step)) / (2 * step)


def one_at(shape, index):
    x = np.zeros(shape)
    x[index] = 1.0
    return x


def float32(vectors):
    return [jnp.asarray(v, jnp.float32) for v in vectors]


def value_and_gradients(loss, vectors, scale):
    """(value, (gradients of the vectors, gradient of the scale)) of a jax `loss(vectors, scale)`, jitted."""
    return jax.jit(jax.value_and_grad(loss, (0, 1)))(float32(vectors), jnp.float32(scale))


def assert_close(got, expected, *, rtol, atol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), got, expected)


def assert_value_and_gradients(loss, numpy_loss, vectors, scale):
    """A jax loss equals its numpy form, in value and, against finite differences, in every gradient."""
    value, gradients = value_and_gradients(loss, vectors, scale)
    np.testing.assert_allclose(value, numpy_loss(vectors, scale), rtol=2e-6)
    assert_close(gradients, finite_differences(numpy_loss, vectors, scale), rtol=1e-4, atol=2e-6)
