"""Retrieval within a modality, by queries as they are and by queries inverted into the other modality."""

import dataclasses

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.inversion import Descent, invert, patch_encoder, text_encoder
from mmjax.evaluation.result import Result


@dataclasses.dataclass(frozen=True)
class InvertedRetrieval:
    """Image to image and text to text, and the same by inverted queries (Cross the Gap, arXiv 2502.04263, section 4).

    A contrastive loss between modalities says nothing about two pictures. If a picture finds others better as words
    found for it (OTI), or a text as patches (OVI), its own modality is misaligned.

    The descents are split over the devices, some queries at a time; the ranking, one query after the other, is the
    host's. `count` bounds the time of both.

    Attributes:
        source: what is evaluated, as data.source.
        label: field whose equal values are right answers; the query itself is none.
        captions: template of the captions.
        template: text to whose end the pseudo-words are put.
        count: the first so many records.
        oti_steps: of descent for words; 0: none are sought.
        ovi_steps: of descent for patches, which need a vit; 0: none are sought.
        learning_rate: of the descent.
        weight_decay: of the descent.
        tokens: pseudo-words or pseudo-patches of a query.
        streams: the image stream and the text stream.
        every: time between evaluations; one more at the end.
    """

    source: str
    label: str = "cls"
    captions: str = "{txt}"
    template: str = "a photo of"
    count: int = 256
    oti_steps: int = 150
    ovi_steps: int = 1000
    learning_rate: float = 2e-2
    weight_decay: float = 0.01
    tokens: int = 1
    streams: tuple = ("image", "text")
    every: str = "100%"

    def __call__(self, embeddings: Embeddings) -> Result:
        """`image_to_image_mAP`, `oti_to_image_mAP`, `oti_cosine` of found words and their pictures; so of texts."""
        image, text = self.streams
        metrics = {}
        for own, name, steps, encoder in (
            (image, "oti", self.oti_steps, self._text_encoder),
            (text, "ovi", self.ovi_steps, self._patch_encoder),
        ):
            side = embeddings.rows(self.source, own, captions=self.captions)
            kept = side.records < self.count
            vectors, records = side.vectors[kept], side.records[kept]
            labels = np.unique(embeddings.labels(self.source, self.label, records), return_inverse=True)[1]
            kind = own.split("_")[0]
            metrics[f"{kind}_to_{kind}_mAP"] = mean_average_precision(vectors, vectors, labels)
            if steps:
                descent = Descent(steps, self.learning_rate, self.weight_decay, self.tokens)
                (encode, width), params = encoder(embeddings), embeddings.model()[1]
                found, _ = invert(encode, params, vectors, width, descent, mesh=embeddings.mesh)
                metrics[f"{name}_to_{kind}_mAP"] = mean_average_precision(found, vectors, labels)
                metrics[f"{name}_cosine"] = float(np.mean(np.sum(found * vectors, 1)))
        return Result(metrics)

    def _text_encoder(self, embeddings):
        text = self.streams[1]
        tokenizer = getattr(embeddings.stream(text), "tokenizer", None)
        if tokenizer is None:
            raise UserError(f"{text!r} has no words", remedy="name an image stream, then a text stream")
        return text_encoder(*embeddings.model(), text, *self._template(tokenizer))

    def _patch_encoder(self, embeddings):
        return patch_encoder(*embeddings.model(), self.streams[0])

    def _template(self, tokenizer):
        """(ids, mask, place): the template and as many pseudo-words, for now copies of its last word, after it."""
        longer = " ".join([self.template] + self.template.split()[-1:] * self.tokens)
        (short, ids), (short_mask, mask) = tokenizer([self.template, longer])
        if int(mask.sum()) != int(short_mask.sum()) + self.tokens:
            remedy = "let the template end in a word of one piece, and leave room in config.data.context"
            raise UserError(f"no room for {self.tokens} pseudo-words after {self.template!r}", remedy=remedy)
        return ids, mask, int(np.argmax(short != ids))


def mean_average_precision(queries, gallery, labels) -> float:
    """Mean over queries of the average precision of the gallery's other rows, those of the query's label being right.

    Args:
        queries, gallery: (N, D) unit rows, row i of both of the same thing.
        labels: (N,) integers; a query whose label no other row has is left out.

    Raises:
        UserError: if no two rows have one label, or all have.
    """
    if len(np.unique(labels)) < 2:
        raise UserError("all records have one label: every answer is right", remedy="evaluate more of them")
    precisions = []
    for i, query in enumerate(np.asarray(queries)):
        scores = np.delete(np.asarray(gallery) @ query, i)
        right = np.delete(labels == labels[i], i)[np.argsort(-scores, kind="stable")]
        if right.any():
            places = np.flatnonzero(right)
            precisions.append(np.mean(np.arange(1, len(places) + 1) / (places + 1)))
    if not precisions:
        raise UserError("no two records have one label", remedy="name a label that several records share")
    return float(np.mean(precisions))
