"""CLOSE's adapters: texts changed so that what a classifier learns of them holds for pictures, over the gap."""

from collections.abc import Callable

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation import inputs

ADAPTERS = ("none", "noise", "shift", "covariance", "linear")


def make_adapter(kind: str, images=None, texts=None, *, noise: float = 0.08) -> Callable:
    """(rows (N, D), generator) -> (N, D) unit rows: texts as a classifier for pictures is to see them in training.

    - none: as they are;
    - noise: t + w e, e ~ N(0, I);
    - shift: t + mean of (picture - text), then noise;
    - covariance: t + a draw from the normal distribution of (picture - text), then noise;
    - linear: A t + b, the least squares from texts to their pictures, then noise;

    each brought to unit norm. At test time pictures are taken as they are.

    Args:
        kind: a name in ADAPTERS.
        images, texts: (P, D) unit rows of pairs, for the last three.
        noise: w.

    Raises:
        UserError: an unknown kind, negative noise, no or unequal pairs where they are needed.
    """
    if kind not in ADAPTERS or noise < 0:
        raise UserError(
            f"adapter {kind!r} with noise {noise}", remedy=f"use {', '.join(ADAPTERS)} and noise of 0 or more"
        )
    if kind == "none":
        return lambda rows, rng: unit(rows)
    move = (lambda rows, rng: rows) if kind == "noise" else MOVES[kind](*_checked(images, texts))
    return lambda rows, rng: unit(move(rows, rng) + noise * rng.normal(size=rows.shape))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows (N, D) over their norms; a zero row stays zero."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _checked(images, texts):
    if images is None or texts is None:
        raise UserError("this adapter is made from pairs of images and texts", remedy="give both")
    images, texts = inputs.pair(images, texts, ("image", "text"))
    if len(images) != len(texts):
        raise UserError(f"{len(images)} images and {len(texts)} texts", remedy="give pairs, row by row")
    return images.astype(np.float64), texts.astype(np.float64)


def _shift(images, texts):
    between = images.mean(0) - texts.mean(0)
    return lambda rows, rng: rows + between


def _covariance(images, texts):
    differences = images - texts
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(differences.T, bias=True)))
    root = vectors * np.sqrt(np.maximum(values, 0))  # root root^T is the covariance, of whatever rank
    return lambda rows, rng: rows + differences.mean(0) + rng.normal(size=rows.shape) @ root.T


def _linear(images, texts):
    with_bias = lambda rows: np.concatenate([rows, np.ones((len(rows), 1))], axis=1)  # noqa: E731
    weights = np.linalg.lstsq(with_bias(texts), images, rcond=None)[0]
    return lambda rows, rng: with_bias(rows) @ weights


MOVES = {"shift": _shift, "covariance": _covariance, "linear": _linear}
