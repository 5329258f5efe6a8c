"""Retrieval in a space of words: all weights, the greatest alone, words alone."""

import dataclasses

import numpy as np

from mmjax.errors import UserError
from mmjax.evaluation.names import base_names
from mmjax.evaluation.result import Result
from mmjax.evaluation.retrieval import chance_one_way, one_way


@dataclasses.dataclass(frozen=True)
class LexicalRetrieval:
    """Retrieval between a lexical head of samples and one of captions, by ever fewer numbers (VDR, arXiv 2212.07699).

    Attributes:
        source: what is evaluated, as data.source.
        streams: the head of the samples and the head of the captions.
        k: greatest weights of a row that are kept in the sparse form.
        leave_out: token ids that are no words, such as the end of text.
        captions: template of the captions.
        language: of captions that come in several; empty: the first that the stream takes.
        every: time between evaluations; one more at the end.
    """

    source: str
    streams: tuple = ("image_words", "text_words")
    k: int = 768
    leave_out: tuple = ()
    captions: str = "{txt}"
    language: str = ""
    every: str = "25%"

    def __call__(self, embeddings) -> Result:
        """Metrics of `retrieval.one_way` in both directions for `dense` and `sparse`, for queries of words alone as
        `words_to_<sample>`, and `word_precision@5`: the share of a sample's five greatest words that its captions have.
        """
        asked = {"captions": self.captions, "language": self.language}
        x, y = (embeddings.rows(self.source, stream, **asked) for stream in self.streams)
        words = self._words(embeddings, y.rows, x.vectors.shape[1])
        names = base_names(embeddings, self.streams)
        forms = {"dense": (x.vectors, y.vectors), "sparse": (keep_top(x.vectors, self.k), keep_top(y.vectors, self.k))}
        metrics, chance = {}, {}
        for form, sides in forms.items():
            both = list(zip(sides, (x.records, y.records), names, strict=True))
            for (a, a_ids, a_name), (b, b_ids, b_name) in (both, both[::-1]):
                pair = (f"{form}_{a_name}", b_name)
                metrics |= one_way(a, b, a_ids, b_ids, names=pair, mesh=embeddings.mesh)
                chance |= chance_one_way(a_ids, b_ids, names=pair)
        ids, pair = (y.records, x.records), ("words", names[0])
        metrics |= one_way(words, x.vectors, *ids, names=pair, mesh=embeddings.mesh)
        metrics["word_precision@5"] = word_precision(x.vectors, x.records, words, y.records)
        return Result(metrics, chance | chance_one_way(*ids, names=pair))

    def _words(self, embeddings, rows, vocabulary: int) -> np.ndarray:
        """(N, vocabulary) float32, 1 for every word of a caption."""
        tokenizer = getattr(embeddings.stream(self.streams[1]), "tokenizer", None)
        if tokenizer is None:
            raise UserError(f"{self.streams[1]!r} has no words", remedy="name a lexical head of a text stream second")
        ids, mask = tokenizer([row.text for row in rows])
        if max(ids[mask].max(initial=0), *self.leave_out, 0) >= vocabulary:
            remedy = "name heads of kind lexical whose vocabulary is the tokenizer's"
            raise UserError(f"{self.streams[0]!r} has {vocabulary} weights, fewer than there are words", remedy=remedy)
        words = np.zeros((len(rows), vocabulary), np.float32)
        words[np.nonzero(mask)[0], ids[mask]] = 1
        words[:, list(self.leave_out)] = 0
        return words


def keep_top(x: np.ndarray, k: int) -> np.ndarray:
    """x (N, V) with all but the k greatest entries of each row set to 0, and those equal to the k-th."""
    if not 0 < k < x.shape[1]:
        return x
    return np.where(x >= np.partition(x, -k, axis=1)[:, -k, None], x, np.float32(0))


def word_precision(x: np.ndarray, x_records, words: np.ndarray, word_records, k: int = 5) -> float:
    """Mean over rows of x of the share of the k greatest entries that are words of a caption of the same record."""
    own = {record: words[word_records == record].any(0) for record in np.unique(word_records)}
    top = np.argsort(-x, axis=1, kind="stable")[:, :k]
    shares = [own[record][places].mean() for record, places in zip(x_records, top, strict=True) if record in own]
    return float(np.mean(shares))
