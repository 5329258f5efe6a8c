"""Vectors with the classes of what they are of, for evaluations that train on one source and test on another."""

from collections import Counter

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embeddings


def labelled_sides(evaluation, embeddings: Embeddings, *, least: int = 1):
    """Vectors (N, D) and class numbers (N,) of the training and the test source, the classes numbered over both.

    Args:
        evaluation: has `train`, `source`, `label`, `image_keys`, and the stream first in `streams`.
        least: training rows that every class must have.

    Raises:
        UserError: what `check_classes` says.
    """
    sides = [
        embeddings.rows(spec, evaluation.streams[0], keys=evaluation.image_keys)
        for spec in (evaluation.train, evaluation.source)
    ]
    labels = [
        embeddings.labels(spec, evaluation.label, side.records)
        for spec, side in zip((evaluation.train, evaluation.source), sides, strict=True)
    ]
    check_classes(*labels, where=f"label {evaluation.label!r} of {evaluation.train}", least=least)
    names = np.unique(labels[0] + labels[1])
    train, test = (np.searchsorted(names, part) for part in labels)
    return sides[0].vectors, train, sides[1].vectors, test


def check_classes(train: list[str], test: list[str], *, where: str, least: int = 1) -> None:
    """Raise `UserError`, by name, for a tested class without training rows, a single class, and one with too few rows.

    Args:
        train, test: the class of every row.
        where: what the message names as their place.
        least: training rows that every class must have.
    """
    unseen = sorted(set(test) - set(train))
    if unseen:
        what = f"{len(unseen)} tested classes were never seen in training: {', '.join(unseen[:5])}"
        raise UserError(what, where=where, remedy="split the data so that every class has training rows")
    rows = Counter(train)
    rarest = min(rows, key=rows.get)
    if len(rows) < 2:
        raise UserError(f"the only class, {rarest!r}, is always right", where=where, remedy="give two classes or more")
    if rows[rarest] < least:
        what = f"class {rarest!r} has {rows[rarest]} training rows of {least}"
        raise UserError(what, where=where, remedy="ask for fewer, or leave the class out")
