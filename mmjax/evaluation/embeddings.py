"""Embeddings of whole sources, for evaluations that never see the model."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from mmjax.data.captions import text_fields
from mmjax.data.rows import list_rows, row_batches
from mmjax.data.selection.scan import lookup
from mmjax.data.sources import open_source
from mmjax.data.streams import Stream, make_stream
from mmjax.data.streams.text import CaptionRow
from mmjax.data.streams.vector import VectorRow
from mmjax.data.unreadable import UnreadableCount
from mmjax.errors import UserError


class Embedded(NamedTuple):
    """Unit rows (N, D) float32, the record (N,) that each belongs to, and the row (`Stream.rows`) that it was."""

    vectors: np.ndarray
    records: np.ndarray
    rows: list


class Embeddings:
    """Embeds what streams take from sources with one set of weights.

    Args:
        encode: (stream, batch) -> (B, D) numpy; the batch is this process's share, the result the whole.
        data: `config.data`.
        batch_size: rows encoded at once.
        mesh: passed on by evaluations to sharded functions.
    """

    def __init__(self, encode: Callable, data, batch_size: int, mesh):
        self.mesh = mesh
        self._encode, self._data, self._batch_size = encode, data, batch_size
        self._process = (jax.process_index(), jax.process_count())

    def stream(self, name: str, **asked) -> Stream:
        """A stream of the model as its entry in `config.data.streams` says, narrowed to what is `asked`."""
        return make_stream(self._data, name).narrowed(**asked)

    def rows(self, spec: str, name: str, **asked) -> Embedded:
        """Everything that a stream takes from a source; what cannot be read is left out.

        Args:
            spec: the source.
            name: a stream of the model.
            **asked: of `Stream.narrowed`: `keys`, `captions`, `fallback`, `language`.

        Raises:
            UserError: there is nothing, or more cannot be read than `data.max_unreadable`.
        """
        stream, source = self.stream(name, **asked), open_source(spec)
        rows = list_rows(stream, source, self._unreadable())
        if not rows:
            where = f"stream {name!r}" + "".join(f", {option} {value!r}" for option, value in asked.items() if value)
            remedy = "name members, templates or languages that its samples have"
            raise UserError(f"no {stream.noun} in {spec}", where=where, remedy=remedy)
        return self.embed(stream, source, rows)

    def embed(self, stream: Stream, source, rows: list) -> Embedded:
        """These rows of an open source; None for rows that hold their values."""
        batches = row_batches(
            stream, source, rows, self._batch_size, self._process, unreadable=self._unreadable(source is None)
        )
        vectors, valid = [], []
        for batch in batches:
            valid.append(self._whole(batch.pop("valid")))
            batch.pop("id")
            vectors.append(self._encode(stream.name, batch))
        if not vectors:
            raise UserError(f"nothing to embed in the stream {stream.name!r}")
        keep = np.concatenate(valid)[: len(rows)]
        kept = [row for row, good in zip(rows, keep, strict=True) if good]
        records = np.array([row.record for row in kept])
        return Embedded(np.concatenate(vectors)[: len(rows)][keep], records, kept)

    def vectors(self, vectors: np.ndarray, *, stream: str = "vector") -> np.ndarray:
        """(N, D) for the vectors (N, F) that an encoder takes."""
        rows = [VectorRow(i, vector) for i, vector in enumerate(vectors)]
        return self.embed(self.stream(stream), None, rows).vectors

    def texts(self, texts: list[str], *, stream: str = "text") -> np.ndarray:
        """(N, D) for any texts."""
        rows = [CaptionRow(i, text) for i, text in enumerate(texts)]
        embedded = self.embed(self.stream(stream), None, rows)
        if len(embedded.rows) < len(texts):
            missing = set(texts) - {row.text for row in embedded.rows}
            raise UserError(f"the tokenizer makes nothing of {sorted(missing)[0]!r}", where="config.data.tokenizer")
        return embedded.vectors

    def labels(self, spec: str, field: str, records: np.ndarray, language: str = "en") -> list[str]:
        """The text of a field of each record (`scan.lookup`); of a field by language, that language's.

        Raises:
            UserError: naming a sample that lacks the field.
        """
        source = open_source(spec)
        by_record = {int(r): lookup(text_fields(source[int(r)]), field) for r in np.unique(records)}
        values = {r: v.get(language) if isinstance(v, dict) else v for r, v in by_record.items()}
        for record, value in values.items():
            if value is None:
                raise UserError(
                    f"sample {source[record]['__key__']} has no field {field!r}",
                    where=spec,
                    remedy="name another label",
                )
        return [str(values[int(r)]).strip() for r in records]

    def _whole(self, share: np.ndarray) -> np.ndarray:
        """The flags of the global batch, from every process's share."""
        if jax.process_count() == 1:
            return share
        from jax.experimental import multihost_utils

        return multihost_utils.process_allgather(share, tiled=True)

    def _unreadable(self, all_may: bool = False) -> UnreadableCount:
        return UnreadableCount(1.0 if all_may else self._data.max_unreadable)


def make_encoder(model, mesh) -> Callable:
    """`encode(params, stream, batch) -> (B, D) numpy` of a model's unit-norm embeddings, over all devices of a mesh.

    Args:
        model: a `mmjax.model.Model`.
        mesh: the devices; batches must divide over its batch axes.
    """
    from mmjax.data.device import place
    from mmjax.mesh import batch_sharding, replicated

    def pooled(params, batch, stream):
        return model.apply({"params": params}, batch)[stream].pooled

    compiled = jax.jit(pooled, static_argnames="stream", out_shardings=replicated(mesh))

    def encode(params, stream: str, batch) -> np.ndarray:
        return np.asarray(compiled(params, place(batch, batch_sharding(mesh)), stream=stream).addressable_data(0))

    return encode
