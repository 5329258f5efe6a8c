"""Pictures for the report: what a text finds, and how a sample of pictures and texts resembles one another."""

import numpy as np

from mmjax.data.samples import Samples
from mmjax.data.sources import open_source
from mmjax.data.streams import Stream
from mmjax.data.streams.members import MemberRow
from mmjax.evaluation.ranking import topk
from mmjax.experiments.report import Hit, Query, Similarity


def nearest_pictures(pictures, captions, show, *, mesh=None, queries: int = 12, k: int = 5) -> list[Query]:
    """The `k` pictures nearest to each of some captions.

    Args:
        pictures, captions: both sides of a retrieval evaluation, `Embedded`.
        show: MemberRow -> (H, W, 3) uint8, such as `Pictures`.
        mesh: devices to search on.
        queries: how many captions, spread evenly over the source.
        k: how many pictures each.
    """
    chosen = _spread(len(captions.rows), queries)
    k = min(k, len(pictures.rows))
    nearest, _ = topk(captions.vectors[chosen], pictures.vectors, k, names=("text", "image"), mesh=mesh)
    first_caption = {int(r): row.text for r, row in zip(captions.records[::-1], captions.rows[::-1], strict=True)}
    return [
        Query(
            captions.rows[i].text,
            [
                Hit(
                    show(pictures.rows[j]),
                    first_caption.get(int(pictures.records[j]), ""),
                    bool(pictures.records[j] == captions.records[i]),
                )
                for j in nearest_row
            ],
        )
        for i, nearest_row in zip(chosen, nearest, strict=True)
    ]


def similarity_sample(pictures, captions, show, *, size: int = 12) -> Similarity:
    """Cosines of some pictures, spread evenly over the source, with a caption of each; arguments as above."""
    caption_of = {int(r): i for i, r in reversed(list(enumerate(captions.records)))}
    with_caption = [i for i, r in enumerate(pictures.records) if int(r) in caption_of]
    rows = [with_caption[i] for i in _spread(len(with_caption), size)]
    columns = [caption_of[int(pictures.records[i])] for i in rows]
    return Similarity(
        pictures.vectors[rows] @ captions.vectors[columns].T,
        [show(pictures.rows[i]) for i in rows],
        [captions.rows[i].text for i in columns],
    )


class Pictures:
    """Rows as the (H, W, 3) uint8 pictures that the model saw.

    Args:
        spec: their source, as data.source.
        stream: the stream that took them, which says how pictures are sized.
    """

    def __init__(self, spec: str, stream: Stream):
        self._samples, self._stream = Samples(open_source(spec), cache=0), stream

    def __call__(self, row: MemberRow) -> np.ndarray:
        return self._stream.read(self._samples, row)


def _spread(n: int, count: int) -> list[int]:
    """At most `count` indices below n, evenly apart."""
    return sorted({int(i) for i in np.linspace(0, n - 1, min(count, n))})
