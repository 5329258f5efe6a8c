"""Zero-shot classification: the class whose embedding is nearest; metrics named and defined as in CLIP_benchmark."""

from collections.abc import Sequence

import numpy as np
from jax.sharding import Mesh

from mmjax.errors import UserError
from mmjax.evaluation import inputs
from mmjax.evaluation.ranking import retrieval_ranks

SIMPLE_TEMPLATES = (
    "itap of a {c}.",
    "a bad photo of the {c}.",
    "a origami {c}.",
    "a photo of the large {c}.",
    "a {c} in a video game.",
    "art of the {c}.",
    "a photo of the small {c}.",
)


def prompts(names: Sequence[str], templates: Sequence[str] = SIMPLE_TEMPLATES) -> list[list[str]]:
    """The texts of C classes x T templates; the class name takes the place of `{c}`.

    Raises:
        UserError: no class, no template, or a template without `{c}`.
    """
    if not names or not templates:
        raise UserError(f"{len(names)} class names and {len(templates)} templates", remedy="give at least one of each")
    for template in templates:
        if "{c}" not in template:
            raise UserError(f"the template {template!r} has no place for a class", remedy="write {c} where it goes")
    return [[template.replace("{c}", name) for template in templates] for name in names]


def class_embeddings(text) -> np.ndarray:
    """(C, D) float32 unit rows: for each class the mean over its templates of unit-norm features, renormalised.

    Args:
        text: (C, T, D) text features of T templates for each of C classes.

    Raises:
        UserError: another shape, features not finite, or a class whose templates cancel out.
    """
    text = np.asarray(text).astype(np.float32, copy=False)
    if text.ndim != 3 or 0 in text.shape:
        raise UserError(f"class texts of shape {text.shape}", remedy="give (classes, templates, width)")
    inputs.embeddings(text.reshape(-1, text.shape[-1]), "class text")
    mean = _unit(text).mean(axis=1)
    return _unit(mean)


def zero_shot(
    images, labels, classes, *, ks: Sequence[int] = (1, 5), block: int = 1024, mesh: Mesh | None = None
) -> dict[str, float]:
    """`acc1`, `acc5` (the label is among the first K classes; left out if there are fewer) and `mean_per_class_recall`.

    Args:
        images: (N, D) unit rows.
        labels: (N,) integers in [0, C).
        classes: (C, D) unit rows, from `class_embeddings`. Of equal scores the earlier class comes first.
        ks: the cut-offs K of `accK`.
        block, mesh: as for `mmjax.evaluation.retrieval.retrieval`.

    Raises:
        UserError: arrays that do not fit together, an embedding that is not finite, a label that is no class,
            a single class.
    """
    images, classes = inputs.pair(images, classes, ("image", "class"))
    labels = inputs.integers(labels, len(images), "labels")
    if len(classes) < 2:
        raise UserError("one class is always right", remedy="give two or more")
    outside = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if outside.size:
        raise UserError(
            f"label {labels[outside[0]]} is none of {len(classes)} classes",
            where=f"row {outside[0]}",
            remedy=f"give labels from 0 to {len(classes) - 1}, in the order of the class embeddings",
        )
    ranks = retrieval_ranks(images, classes, labels, np.arange(len(classes)), block=block, mesh=mesh)
    accuracies = {f"acc{k}": float(np.mean(ranks < k)) for k in ks if k <= len(classes)}
    return accuracies | {"mean_per_class_recall": mean_per_class_recall(ranks == 0, labels)}


def mean_per_class_recall(hits: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes that occur in `labels` (N,) of the share of `hits` (N,) bool among their rows.

    The same as scikit-learn's `balanced_accuracy_score`; a class without rows does not count.
    """
    _, numbers, rows = np.unique(labels, return_inverse=True, return_counts=True)
    return float(np.mean(np.bincount(numbers, weights=hits) / rows))


def class_numbers(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Where each of `labels` (N,) stands in the sorted `classes` (C,) seen in training.

    Raises:
        UserError: naming the labels that were never seen, which no classifier could predict.
    """
    unseen = np.setdiff1d(labels, classes)
    if unseen.size:
        raise UserError(
            f"{unseen.size} classes to predict were never seen in training: {', '.join(map(str, unseen[:5]))}",
            remedy="leave their rows out, or split the data so that every class has training rows",
        )
    return np.searchsorted(classes, labels)


def _unit(x: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    empty = np.argwhere(norm[..., 0] == 0)
    if empty.size:
        raise UserError("class text features of length zero have no direction", where=f"class {empty[0][0]}")
    return x / norm
