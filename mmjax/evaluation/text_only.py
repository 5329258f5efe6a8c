"""CLOSE: a classifier trained on embeddings of texts alone and tested on pictures (Gu et al. 2022, arXiv 2211.09778).

An adapter changes the texts' embeddings in training so that what is learned of them carries over the modality gap.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation import inputs
from mmjax.evaluation.cross import first_rows
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.labelled import check_classes
from mmjax.evaluation.linear_probe import linear_probe
from mmjax.evaluation.result import Result
from mmjax.evaluation.text_adapters import ADAPTERS, make_adapter
from mmjax.rng import numpy_generator


@dataclasses.dataclass(frozen=True)
class TextOnly:
    """A linear probe trained on the captions of one source and tested on the pictures of another.

    Attributes:
        train: source of the captions and their classes, as data.source.
        source: what is evaluated.
        pairs: source of the pictures and captions, without classes, that the adapters shift, covariance and linear are
            made from.
        label: JSON field that holds the class.
        adapter: none, noise, shift, covariance or linear; see `mmjax.evaluation.text_adapters.make_adapter`.
        noise: w, standard deviation of the noise in each dimension, for all adapters but none.
        draws: how often every caption is used, each time with other noise.
        captions: template of the captions.
        language: of captions that come in several; empty: the first that the stream takes.
        image_keys: endings of the pictures' members; none: those that the stream takes.
        seed: of the noise.
        streams: the picture stream and the text stream.
        every: time between evaluations; one more at the end.
    """

    train: str
    source: str
    pairs: str = ""
    label: str = "cls"
    adapter: str = "noise"
    noise: float = 0.08
    draws: int = 4
    captions: str = "{txt}"
    language: str = "en"
    image_keys: tuple = ()
    seed: int = 0
    streams: tuple = ("image", "text")
    every: str = "100%"

    def __post_init__(self):
        if self.adapter not in ADAPTERS:
            raise UserError(f"no adapter {self.adapter!r}", remedy=f"use one of {', '.join(ADAPTERS)}")
        if self.adapter not in ADAPTERS[:2] and not self.pairs:
            raise UserError(f"the adapter {self.adapter!r} needs pairs", remedy="give pairs='SOURCE'")

    def __call__(self, embeddings: Embeddings) -> Result:
        """The metrics of `text_only_probe`."""
        image, text = self.streams
        asked = {"captions": self.captions, "language": self.language}
        texts = embeddings.rows(self.train, text, **asked)
        images = embeddings.rows(self.source, image, keys=self.image_keys)
        labels = [
            embeddings.labels(spec, self.label, side.records)
            for spec, side in ((self.train, texts), (self.source, images))
        ]
        check_classes(*labels, where=f"label {self.label!r} of {self.train}")
        names = np.unique(labels[0] + labels[1])
        adapter = make_adapter(self.adapter, *self._pairs(embeddings, asked), noise=self.noise)
        metrics = text_only_probe(
            texts.vectors,
            np.searchsorted(names, labels[0]),
            images.vectors,
            np.searchsorted(names, labels[1]),
            adapter,
            draws=self.draws,
            seed=self.seed,
            mesh=embeddings.mesh,
        )
        return Result(metrics, {"acc1": 1 / len(set(labels[0])), "mean_per_class_recall": 1 / len(set(labels[0]))})

    def _pairs(self, embeddings, asked):
        """The first picture and the first caption of every record of `pairs` that has both."""
        if not self.pairs:
            return None, None
        image, text = self.streams
        x, of_x = first_rows(embeddings.rows(self.pairs, image, keys=self.image_keys))
        y, of_y = first_rows(embeddings.rows(self.pairs, text, **asked))
        _, at_x, at_y = np.intersect1d(of_x, of_y, return_indices=True)
        return x[at_x], y[at_y]


def text_only_probe(
    texts, text_labels, images, image_labels, adapter: Callable, *, draws: int = 4, seed: int = 0, mesh=None
) -> dict[str, float]:
    """`linear_probe` trained on adapted texts, its strength chosen on other adapted texts, tested on images.

    Args:
        texts, images: (N, D), (M, D) unit rows.
        text_labels, image_labels: (N,), (M,) integers.
        adapter: of `make_adapter`.
        draws: how often each text is adapted.
        seed: of the noise and of the fifth of the texts that is held out to choose the strength.
        mesh: devices to use.

    Raises:
        UserError: draws below 1, or what `linear_probe` says.
    """
    texts, images = inputs.pair(texts, images, ("text", "image"))
    text_labels = inputs.integers(text_labels, len(texts), "text labels")
    if draws < 1:
        raise UserError(f"{draws} draws of every text", remedy="give 1 or more")
    rng = numpy_generator(seed, "text-only probe")
    rows = np.concatenate([adapter(texts, rng) for _ in range(draws)])
    # All draws of a text lie on one side, or the strength would be chosen on texts that were trained on.
    held_out = np.tile(rng.permutation(len(texts)) < max(1, len(texts) // 5), draws)
    labels = np.tile(text_labels, draws)
    parts = [(rows[of], labels[of]) for of in (~held_out, held_out)]
    return linear_probe(*parts[0], images, image_labels, validation=parts[1], mesh=mesh)
