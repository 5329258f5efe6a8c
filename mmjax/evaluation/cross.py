"""Evaluations of three or more streams: retrieval between all of them, and queries of several together."""

import dataclasses
import itertools

import numpy as np

from mmjax.data.sources import open_source
from mmjax.data.sources.xor_source import XorSource, every_vector
from mmjax.errors import UserError
from mmjax.evaluation.composed import check_compose, compose
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.ranking import retrieval_ranks
from mmjax.evaluation.result import Result
from mmjax.evaluation.retrieval import chance_one_way, one_way

MOST_BITS = 20  # of which `XorChoice` embeds every vector


@dataclasses.dataclass(frozen=True)
class CrossRetrieval:
    """Retrieval between every two of some streams, and with each two of them together as the query for a third.

    What a stream takes from a record is what its entry in data.streams says (the first template and language where it
    has several), and of several pictures, sounds or captions the first. A record without a stream is left out where
    that stream is asked for or answers.

    Attributes:
        source: what is evaluated, as data.source.
        streams: two or more streams.
        captions: template of the captions of streams whose entry names none.
        language: of captions and sounds that come in several; empty: the first that the stream takes.
        compose: what two embeddings make: sum (normalised), product (Symile), volume (GRAM); empty: no such queries.
        every: time between evaluations; one more at the end.
    """

    source: str
    streams: tuple = ("image", "text")
    captions: str = "{txt}"
    language: str = ""
    compose: str = "sum"
    every: str = "25%"

    def __post_init__(self):
        if len(set(self.streams)) < 2:
            raise UserError(f"retrieval between {tuple(self.streams)}", remedy="name two streams or more")
        if self.compose:
            check_compose(self.compose)

    def __call__(self, embeddings: Embeddings) -> Result:
        """Metrics of `mmjax.evaluation.retrieval.one_way`, such as image_to_text_R@1 and image+image_2_to_text_R@1."""
        asked = {"fallback": self.captions, "language": self.language}
        sides = {stream: first_rows(embeddings.rows(self.source, stream, **asked)) for stream in self.streams}
        return cross_retrieval(sides, self.compose, mesh=embeddings.mesh)


@dataclasses.dataclass(frozen=True)
class XorChoice:
    """Symile's test: the vector of one stream, chosen among all vectors of bits, given those of all other streams.

    Attributes:
        source: what is evaluated, such as "xor:dims=5,split=test".
        streams: all streams of the source.
        answer: the stream that is chosen.
        compose: how the others make the query: sum, product (Symile) or volume.
        every: time between evaluations; one more at the end.
    """

    source: str
    streams: tuple = ("vector", "vector_2", "vector_3")
    answer: str = "vector_2"
    compose: str = "product"
    every: str = "25%"

    def __post_init__(self):
        check_compose(self.compose)
        if self.answer not in self.streams:
            raise UserError(f"answer {self.answer!r} is no stream here", remedy=f"use one of {', '.join(self.streams)}")

    def __call__(self, embeddings: Embeddings) -> Result:
        """`accuracy`: the share of records whose own vector is nearest to the query among all 2^dims."""
        source = open_source(self.source)
        if not isinstance(source, XorSource) or source.dims > MOST_BITS:
            remedy = f"evaluate a source such as 'xor:dims=5,split=test', of at most {MOST_BITS} dims"
            raise UserError("no bits of which all vectors can be listed", where=self.source, remedy=remedy)
        asked = [embeddings.rows(self.source, s).vectors for s in self.streams if s != self.answer]
        own = np.stack([source[i][self.answer] for i in range(len(source))])
        choices = every_vector(source.width(self.answer))
        numbers = own.astype(np.int64) @ (1 << np.arange(own.shape[1])[::-1])
        gallery = embeddings.vectors(choices, stream=self.answer)
        ranks = retrieval_ranks(
            compose(asked, self.compose), gallery, numbers, np.arange(len(choices)), mesh=embeddings.mesh
        )
        return Result({"accuracy": float(np.mean(ranks == 0))}, {"accuracy": 1 / len(choices)})


def first_rows(embedded) -> tuple[np.ndarray, np.ndarray]:
    """The first row of each record: vectors (N, D) and records (N,), ascending."""
    records, first = np.unique(embedded.records, return_index=True)
    return embedded.vectors[first], records


def cross_retrieval(sides: dict[str, tuple[np.ndarray, np.ndarray]], how: str, *, mesh=None) -> Result:
    """Retrieval between every ordered pair of streams, and from every two streams to each other one.

    A query and a gallery hold the records that all streams concerned have.

    Args:
        sides: stream -> unit rows (N, D) and their records (N,), ascending and different.
        how: a name in `mmjax.evaluation.composed.COMPOSE`; "" for pairs alone. By "volume", pairs are ordered by their
            volume too, sqrt(1 - cosine^2).
        mesh: devices to use.

    Raises:
        UserError: streams without a common record.
    """
    metrics, chance = {}, {}
    queries = list(itertools.combinations(sides, 1)) + list(itertools.combinations(sides, 2) if how else ())
    for query, answer in itertools.product(queries, sides):
        if answer in query:
            continue
        *parts, gallery = _common([sides[s] for s in (*query, answer)], (*query, answer))
        x = parts[0] if len(query) == 1 and how != "volume" else compose(parts, how)
        ids, names = np.arange(len(gallery)), ("+".join(query), answer)
        metrics |= one_way(x, gallery, ids, ids, names=names, mesh=mesh)
        chance |= chance_one_way(ids, ids, names=names)
    return Result(metrics, chance)


def _common(sides, streams) -> list[np.ndarray]:
    """The vectors of each side for the records that all of them have."""
    shared = sides[0][1]
    for _, records in sides[1:]:
        shared = np.intersect1d(shared, records)
    if not len(shared):
        raise UserError(f"no record has all of {', '.join(streams)}", remedy="evaluate a source that has them together")
    return [vectors[np.searchsorted(records, shared)] for vectors, records in sides]
