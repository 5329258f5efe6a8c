"""k-nearest-neighbour classification of frozen embeddings, by the weighted vote of Wu et al. 2018 (1805.01978)."""

import numpy as np
from jax.sharding import Mesh

from mmjax.errors import UserError
from mmjax.evaluation import inputs
from mmjax.evaluation.ranking import topk
from mmjax.evaluation.zeroshot import class_numbers, mean_per_class_recall


def knn(
    train,
    train_labels,
    test,
    test_labels,
    *,
    k: int = 200,
    temperature: float = 0.1,
    block: int = 1024,
    mesh: Mesh | None = None,
) -> dict[str, float]:
    """`acc1` and `mean_per_class_recall` of the class with the most votes among the k nearest training rows.

    A neighbour of similarity s votes for its label with exp(s / temperature); of equal votes the smaller label wins.

    Args:
        train, test: (N, D), (M, D) unit rows.
        train_labels, test_labels: (N,), (M,) integers, not necessarily contiguous.
        k: neighbours that vote, at most N.
        temperature: of the votes.
        block, mesh: as for `mmjax.evaluation.retrieval.retrieval`.

    Raises:
        UserError: k larger than the training set, temperature not positive, a test label never seen in training,
            a single class, arrays that do not fit together, an embedding that is not finite.
    """
    train, test = inputs.pair(train, test, ("training", "test"))
    train_labels = inputs.integers(train_labels, len(train), "training labels")
    test_labels = inputs.integers(test_labels, len(test), "test labels")
    if temperature <= 0:
        raise UserError(f"k-NN temperature {temperature}", remedy="use a positive one, such as 0.1")
    classes, train_numbers = np.unique(train_labels, return_inverse=True)
    if len(classes) < 2:
        raise UserError(f"all training rows have the label {classes[0]}", remedy="give at least two classes")
    labels = class_numbers(test_labels, classes)
    neighbours, scores = topk(test, train, k, names=("test", "training"), block=block, mesh=mesh)
    # Dividing every vote by the largest changes no winner and keeps exp from overflowing.
    votes = np.exp((scores - scores[:, :1]).astype(np.float64) / temperature)
    hits = _winners(train_numbers[neighbours], votes, len(classes), block) == labels
    return {"acc1": float(np.mean(hits)), "mean_per_class_recall": mean_per_class_recall(hits, labels)}


def _winners(numbers: np.ndarray, votes: np.ndarray, classes: int, block: int) -> np.ndarray:
    """(M,) the class number with the most of the (M, k) votes, counted `block` rows at a time."""
    winners = np.empty(len(votes), np.int64)
    for start in range(0, len(votes), block):
        rows = slice(start, start + block)
        cells = numbers[rows] + classes * np.arange(len(votes[rows]))[:, None]
        counts = np.bincount(cells.ravel(), weights=votes[rows].ravel(), minlength=classes * len(votes[rows]))
        winners[rows] = counts.reshape(-1, classes).argmax(axis=1)
    return winners
