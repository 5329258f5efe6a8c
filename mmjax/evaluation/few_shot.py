"""Probes of few examples a class: prototypes (the mean of each class) and logistic regression."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation import inputs
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.labelled import labelled_sides
from mmjax.evaluation.linear_probe import linear_probe
from mmjax.evaluation.result import Result
from mmjax.evaluation.zeroshot import class_embeddings, class_numbers, zero_shot
from mmjax.rng import numpy_generator

PROBES = ("prototype", "linear")


@dataclasses.dataclass(frozen=True)
class FewShot:
    """Classification of pictures by a probe of a few training pictures of every class, the mean over several draws.

    Attributes:
        train: source of the few, as data.source.
        source: what is evaluated.
        label: JSON field that holds the class.
        shots: pictures of each class; 0: all.
        draws: how often they are drawn.
        probe: prototype or linear.
        seed: of the draws.
        image_keys: endings of the pictures' members; none: those that the stream takes.
        streams: the picture stream.
        every: time between evaluations; one more at the end.
    """

    train: str
    source: str
    label: str = "cls"
    shots: tuple = (1, 4, 16)
    draws: int = 5
    probe: str = "prototype"
    seed: int = 0
    image_keys: tuple = ()
    streams: tuple = ("image",)
    every: str = "100%"

    def __post_init__(self):
        if self.probe not in PROBES:
            raise UserError(f"no probe {self.probe!r}", remedy=f"use one of {', '.join(PROBES)}")
        if not self.shots or min(self.shots) < 0:
            raise UserError(f"shots = {self.shots}", remedy="give one number or more, 0 for all rows")

    def __call__(self, embeddings: Embeddings) -> Result:
        """For each k of `shots`, `<k>_shot_acc1` and `<k>_shot_sd`; `acc1` for all."""
        train, labels, test, test_labels = labelled_sides(self, embeddings, least=max(self.shots))
        metrics = {}
        for shots in self.shots:
            accuracies = few_shot(
                train,
                labels,
                test,
                test_labels,
                shots=shots,
                draws=self.draws,
                probe=self.probe,
                seed=self.seed,
                mesh=embeddings.mesh,
            )
            metrics[f"{shots}_shot_acc1" if shots else "acc1"] = float(np.mean(accuracies))
            if shots:
                metrics[f"{shots}_shot_sd"] = float(np.std(accuracies))
        guess = 1 / len(set(labels.tolist()))
        return Result(metrics, {name: guess for name in metrics if name.endswith("acc1")})


def prototypes(rows, labels) -> tuple[np.ndarray, np.ndarray]:
    """(C, D) unit means of the rows (N, D) of every class, and the labels (C,) of the classes, ascending."""
    rows = inputs.embeddings(rows, "training")
    classes, numbers = np.unique(inputs.integers(labels, len(rows), "training labels"), return_inverse=True)
    sums = np.zeros((len(classes), rows.shape[1]))
    np.add.at(sums, numbers, rows)
    return class_embeddings(sums[:, None]), classes


def few_shot(
    train,
    train_labels,
    test,
    test_labels,
    *,
    shots: int,
    draws: int = 5,
    probe: str = "prototype",
    seed: int = 0,
    mesh=None,
) -> np.ndarray:
    """(draws,) accuracies on the test rows of a probe of `shots` random training rows of each class.

    Args:
        train, test: (N, D), (M, D) unit rows.
        train_labels, test_labels: (N,), (M,) integers, not necessarily contiguous.
        shots: rows of each class, without replacement; 0: all, drawn once.
        draws: how often.
        probe: "prototype": the nearest class mean; "linear": `linear_probe`.
        seed: of the draws.
        mesh: devices to use.

    Raises:
        UserError: a class with fewer rows, a test label never seen in training, no draw, an unknown probe, arrays that
            do not fit together, an embedding that is not finite.
    """
    train, test = inputs.pair(train, test, ("training", "test"))
    train_labels = inputs.integers(train_labels, len(train), "training labels")
    if probe not in PROBES or draws < 1 or shots < 0:
        raise UserError(f"{draws} draws of {shots} for the probe {probe!r}", remedy=f"use one of {', '.join(PROBES)}")
    measure = _prototype_accuracy if probe == "prototype" else _linear_accuracy
    accuracies = []
    for draw in range(draws if shots else 1):
        rows = draw_shots(train_labels, shots, numpy_generator(seed, "few-shot", draw))
        accuracies.append(measure(train[rows], train_labels[rows], test, test_labels, mesh))
    return np.array(accuracies)


def draw_shots(labels: Sequence[int], shots: int, rng) -> np.ndarray:
    """The places of `shots` random rows of every class of `labels` (N,), class by class; 0: of all rows."""
    labels = np.asarray(labels)
    if not shots:
        return np.arange(len(labels))
    order = rng.permutation(len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < shots:
        what = f"class {classes[counts.argmin()]} has {counts.min()} training rows of {shots}"
        raise UserError(what, remedy="ask for fewer shots, or leave the class out")
    return np.concatenate([order[labels[order] == c][:shots] for c in classes])


def _prototype_accuracy(train, labels, test, test_labels, mesh) -> float:
    means, classes = prototypes(train, labels)
    return zero_shot(test, class_numbers(test_labels, classes), means, ks=(1,), mesh=mesh)["acc1"]


def _linear_accuracy(train, labels, test, test_labels, mesh) -> float:
    return linear_probe(train, labels, test, test_labels, mesh=mesh)["acc1"]
