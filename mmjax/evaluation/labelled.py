"""Vectors with the classes of what they are of, for evaluations that train on one source and test on another."""

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embeddings


def labelled_sides(evaluation, embeddings: Embeddings):
    """Vectors (N, D) and class numbers (N,) of the training and the test source, the classes numbered over both.

    Args:
        evaluation: has `train`, `source`, `label`, `image_keys`, and the stream first in `streams`.

    Raises:
        UserError: the sources have no class in common.
    """
    sides = [
        embeddings.rows(spec, evaluation.streams[0], keys=evaluation.image_keys)
        for spec in (evaluation.train, evaluation.source)
    ]
    labels = [
        embeddings.labels(spec, evaluation.label, side.records)
        for spec, side in zip((evaluation.train, evaluation.source), sides, strict=True)
    ]
    if not set(labels[1]) & set(labels[0]):
        raise UserError(
            f"no class of {evaluation.source} occurs in {evaluation.train}", where=f"label {evaluation.label!r}"
        )
    names = np.unique(labels[0] + labels[1])
    train, test = (np.searchsorted(names, part) for part in labels)
    return sides[0].vectors, train, sides[1].vectors, test
