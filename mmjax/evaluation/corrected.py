"""Retrieval before and after a correction of hubs, as evaluations that a config can name."""

import dataclasses
import logging
from collections.abc import Callable

from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.hubness import bank_normalise
from mmjax.evaluation.inverse_graph import inverse_graph_convolution
from mmjax.evaluation.names import side_names
from mmjax.evaluation.result import Result
from mmjax.evaluation.retrieval import chance_one_way, one_way

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class CorrectedRetrieval:
    """Retrieval between two streams, both ways, corrected by banks of a source that is not tested.

    Attributes:
        source: what is evaluated, as data.source.
        bank: source of the banks, such as the training data.
        captions: template of the captions.
        language: of captions and sounds that come in several; empty: the first that the stream takes.
        streams: the two streams.
        every: time between evaluations; one more at the end.
    """

    source: str
    bank: str
    captions: str = "{txt}"
    language: str = "en"
    streams: tuple = ("image", "text")
    every: str = "100%"

    def correct(self, queries, gallery, query_bank, gallery_bank, mesh):
        """Queries and gallery whose inner products are the corrected similarities."""
        raise NotImplementedError

    def __call__(self, embeddings: Embeddings) -> Result:
        """The metrics of `compare_retrieval`, for either stream as the queries."""
        asked = {"captions": self.captions, "language": self.language}
        tested = [embeddings.rows(self.source, stream, **asked) for stream in self.streams]
        banks = [embeddings.rows(self.bank, stream, **asked).vectors for stream in self.streams]
        metrics, chance = {}, {}
        for query, answer in ((0, 1), (1, 0)):
            x, y = tested[query], tested[answer]
            names = side_names((self.streams[query], self.streams[answer]))
            correct = lambda q, g: self.correct(q, g, banks[query], banks[answer], embeddings.mesh)  # noqa: B023, E731
            metrics |= compare_retrieval(
                x.vectors, y.vectors, x.records, y.records, correct, names=names, mesh=embeddings.mesh
            )
            chance |= chance_one_way(x.records, y.records, names=names)
        return Result(metrics, chance)


@dataclasses.dataclass(frozen=True)
class DBNorm(CorrectedRetrieval):
    """Retrieval by (dual) inverted softmax (`mmjax.evaluation.hubness.bank_normalise`) beside that by cosines.

    Attributes:
        beta_query: inverse temperature of the bank of queries; 0: without it.
        beta_gallery: inverse temperature of the bank of gallery items; 0: without it.
        dynamic: only queries whose nearest item a bank activates are corrected by it.
    """

    beta_query: float = 20.0
    beta_gallery: float = 10.0
    dynamic: bool = False

    def correct(self, queries, gallery, query_bank, gallery_bank, mesh):
        """The queries and gallery of `bank_normalise`."""
        options = {"beta_query": self.beta_query, "beta_gallery": self.beta_gallery, "dynamic": self.dynamic}
        return bank_normalise(queries, gallery, query_bank, gallery_bank, mesh=mesh, **options)


@dataclasses.dataclass(frozen=True)
class InvGC(CorrectedRetrieval):
    """Retrieval from a gallery after `mmjax.evaluation.inverse_graph` beside that by cosines.

    Attributes:
        rate_gallery: how far items are moved away from the bank of gallery items.
        rate_query: how far from the bank of queries.
        neighbours: share of a bank, the nearest, that an item is moved away from; below 1: LocalAdj.
        centred: whether mean similarities are subtracted first, as released code does.
    """

    rate_gallery: float = 1.0
    rate_query: float = 1.0
    neighbours: float = 1.0
    centred: bool = False

    def correct(self, queries, gallery, query_bank, gallery_bank, mesh):
        """The queries as they are, the gallery of `inverse_graph_convolution`."""
        moved = inverse_graph_convolution(
            gallery,
            gallery_bank,
            query_bank,
            rate_gallery=self.rate_gallery,
            rate_query=self.rate_query,
            neighbours=self.neighbours,
            centred=self.centred,
            mesh=mesh,
        )
        return queries, moved


def compare_retrieval(x, y, x_ids, y_ids, correct: Callable, *, names=("image", "text"), mesh=None) -> dict[str, float]:
    """The metrics of `one_way` after a correction and, with `raw_` before, without.

    A correction that lowers R@1 is logged as a warning: banks help against hubs, and hurt where there are none.

    Args:
        x, y: (N, D), (M, D) unit rows: queries and gallery.
        x_ids, y_ids: (N,), (M,) integers; x[i] and y[j] belong together if and only if these are equal.
        correct: (queries, gallery) -> the same, whose inner products order the gallery.
        names: names of the two sets.
        mesh: devices to use.
    """
    direction, metrics = f"{names[0]}_to_{names[1]}", {}
    for before, (queries, gallery) in (("raw_", (x, y)), ("", correct(x, y))):
        measured = one_way(queries, gallery, x_ids, y_ids, names=names, mesh=mesh)
        metrics |= {before + name: value for name, value in measured.items()}
    raw, corrected = metrics[f"raw_{direction}_R@1"], metrics[f"{direction}_R@1"]
    if corrected < raw:
        log.warning("the correction by banks lowers %s R@1 from %.4f to %.4f", direction, raw, corrected)
    return metrics
