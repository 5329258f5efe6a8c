"""Retrieval between two streams where whatever has the query's label is right, such as pictures of one identity."""

import dataclasses

import numpy as np

from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.result import Result
from mmjax.evaluation.retrieval import chance_recall, retrieval


@dataclasses.dataclass(frozen=True)
class LabelRetrieval:
    """Retrieval between two streams of a source, both ways; a row of the query's label is right, of any record.

    R@1 is what person retrieval calls Rank-1, and mAP@10 counts all rows of the identity.

    Attributes:
        source: what is evaluated, as data.source.
        label: field whose equal values belong together.
        captions: template of the captions of streams whose entry names none.
        language: of captions and labels that come in several; empty: the first that the stream takes.
        streams: the two streams.
        every: time between evaluations; one more at the end.
    """

    source: str
    label: str = "cls"
    captions: str = "{txt}"
    language: str = ""
    streams: tuple = ("image", "text")
    every: str = "100%"

    def __call__(self, embeddings: Embeddings) -> Result:
        """The metrics of `mmjax.evaluation.retrieval`, named by the streams."""
        asked = {"fallback": self.captions, "language": self.language}
        x, y = (embeddings.rows(self.source, stream, **asked) for stream in self.streams)
        labels = [embeddings.labels(self.source, self.label, s.records, self.language or "en") for s in (x, y)]
        classes = np.unique(np.concatenate(labels))
        x_ids, y_ids = (np.searchsorted(classes, part) for part in labels)
        metrics = retrieval(x.vectors, y.vectors, x_ids, y_ids, names=self.streams, mesh=embeddings.mesh)
        return Result(metrics, chance_recall(x_ids, y_ids, names=self.streams))
