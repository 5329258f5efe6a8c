"""Composed scores: a picture together with its parts, as far as they show what the words of a caption say.

ComCLIP (Jiang et al. 2022, arXiv 2211.13854), which needs no training.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from mmjax.data.captions import text_fields
from mmjax.data.sources import open_source
from mmjax.data.streams.image import ImageStream
from mmjax.errors import UserError
from mmjax.evaluation.choice import share_first
from mmjax.evaluation.cross import first_rows
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.result import Result


@dataclasses.dataclass(frozen=True)
class PartComposition:
    """The true caption of a picture against false ones, each scored with the parts of the picture that it names.

    The parts are boxes of the record's field `boxes`, (left, top, right, bottom) as shares of the sides of a square
    picture; whoever has no such annotations writes those of a detector there.

    Attributes:
        source: what is evaluated, as data.source.
        captions: template of the true caption.
        parts: (template of words, number of the box that shows them, or -1 for all boxes together) of each of its
            parts, such as subject, object and predicate.
        foils: templates of the false captions.
        foil_parts: the parts of each of `foils`; none: those of the true caption.
        language: of captions that come in several; empty: the first that the stream takes.
        streams: the picture stream and the text stream.
        every: time between evaluations; one more at the end.
    """

    source: str
    captions: str
    parts: tuple
    foils: tuple
    foil_parts: tuple = ()
    language: str = ""
    streams: tuple = ("image", "text")
    every: str = "100%"

    def __post_init__(self):
        if not self.foils or len(self.foil_parts) not in (0, len(self.foils)):
            what = f"{len(self.foils)} false captions and the parts of {len(self.foil_parts)}"
            raise UserError(what, remedy="give some false captions, and the parts of each or of none")

    def __call__(self, embeddings: Embeddings) -> Result:
        """`accuracy` of the composed scores and `base_accuracy` of whole pictures; a draw among k counts as 1 / k."""
        image, text = self.streams
        pictures, records = first_rows(embeddings.rows(self.source, image))
        crops = {}
        composed, whole = [], []
        for template, parts in self._choices():
            shown, words = [], []
            for words_template, box in parts:
                if box not in crops:
                    crops[box] = embed_boxes(embeddings, self.source, image, records, box)
                shown.append(crops[box])
                words.append(self._texts(embeddings, text, words_template, records))
            caption = self._texts(embeddings, text, template, records)
            whole.append(np.sum(pictures * caption, 1))
            composed.append(composed_scores(pictures, np.stack(shown, 1), np.stack(words, 1), caption))
        metrics = {"accuracy": share_first(np.stack(composed)), "base_accuracy": share_first(np.stack(whole))}
        return Result(metrics, dict.fromkeys(metrics, 1 / len(whole)))

    def _choices(self):
        """(template, parts) of the true caption, then of the false ones."""
        parts = (self.parts, *(self.foil_parts or (self.parts,) * len(self.foils)))
        return zip((self.captions, *self.foils), parts, strict=True)

    def _texts(self, embeddings, text, template, records):
        """(N, D) of a template filled for each record."""
        vectors, of = first_rows(embeddings.rows(self.source, text, captions=template, language=self.language))
        if not np.isin(records, of).all():
            raise UserError(f"a record cannot fill {template!r}", where=self.source)
        return vectors[np.searchsorted(of, records)]


def composed_scores(pictures, parts, words, captions):
    """(N,) cosine of f = f(x) + sum_k w_k f(x_k) and a caption, w_k = <word_k, f(x_k)> / sum of them.

    Products below 0 count as 0, and where all are, f is the picture alone: weights of both signs, which may sum to
    anything, are what the released code fails on.

    Args:
        pictures: (N, D) unit rows.
        parts: (N, K, D) unit rows of the parts of each picture; with K = 0 the scores are the plain cosines.
        words: (N, K, D) unit rows of what each part is to show.
        captions: (N, D) unit rows.
    """
    likeness = np.maximum(np.einsum("nkd,nkd->nk", words, parts), 0.0)
    weights = likeness / np.maximum(likeness.sum(1, keepdims=True), 1e-12)
    composed = pictures + np.einsum("nk,nkd->nd", weights, parts)
    return np.sum(composed * captions, 1) / np.maximum(np.linalg.norm(composed, axis=1), 1e-12)


class PartRow(NamedTuple):
    """A part of the picture in a member of a record: (left, top, right, bottom) as shares of its sides."""

    record: int
    member: str
    box: tuple


@dataclasses.dataclass(frozen=True)
class PartStream(ImageStream):
    """Pictures of which only a box is left, the rest being of the picture's median colour."""

    def read(self, samples, row):
        """The picture (S,S,3) uint8."""
        return only_box(super().read(samples, row), row.box)


def only_box(picture, box):
    """A picture (H, W, C) outside of `box` filled with its median colour."""
    height, width = picture.shape[:2]
    left, top, right, bottom = np.clip(box, 0, 1) * (width, height, width, height)
    inside = np.zeros((height, width, 1), bool)
    inside[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
    return np.where(inside, picture, np.median(picture, axis=(0, 1)).astype(picture.dtype))


def embed_boxes(embeddings: Embeddings, spec: str, name: str, records, box: int) -> np.ndarray:
    """(N, D) of the box with that number of each record's picture, -1 for the smallest that holds all of them.

    Raises:
        UserError: naming a record without such a box.
    """
    stream, source = embeddings.stream(name), open_source(spec)
    stream = PartStream(**{f.name: getattr(stream, f.name) for f in dataclasses.fields(stream)})
    rows = []
    for record in records.tolist():
        boxes = text_fields(source[record]).get("boxes") or []
        if not -1 <= box < len(boxes) or not boxes:
            raise UserError(f"sample {record} has no box {box}", where=spec, remedy="write field boxes, or other parts")
        corners = np.array(boxes, float)
        whole = (*corners[:, :2].min(0), *corners[:, 2:].max(0)) if box == -1 else corners[box]
        rows.append(PartRow(record, stream.members(source.members(record))[0], tuple(whole)))
    return embeddings.embed(stream, source, rows, name).vectors
