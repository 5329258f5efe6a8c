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


class EmbeddedTokens(NamedTuple):
    """Tokens (N, T, D) float32, which are real, (N, T) bool, and unit rows (N, D) and records (N,) as of `Embedded`."""

    tokens: np.ndarray
    mask: np.ndarray
    vectors: np.ndarray
    records: np.ndarray


class Embeddings:
    """Embeds what streams take from sources with one set of weights.

    Args:
        encode: (stream, batch) -> (B, D) numpy; the batch is this process's share, the result the whole. With
            tokens=True -> `Features` of numpy arrays.
        data: `config.data`.
        batch_size: rows encoded at once.
        mesh: passed on by evaluations to sharded functions.
        bases: name of features -> the batch streams that they are made of; None: there are no heads and no teachers.
        objectives: name in config.objectives -> (the objective, its parameters); None: there is no training loss.
        model: (the model, its parameters), for evaluations by gradient through its towers; None: there is no model.
    """

    def __init__(
        self,
        encode: Callable,
        data,
        batch_size: int,
        mesh,
        bases: Callable | None = None,
        objectives: Callable | None = None,
        model: tuple | None = None,
    ):
        self.mesh, self._bases, self._objectives = mesh, bases or (lambda name: (name,)), objectives
        self._encode, self._data, self._batch_size = encode, data, batch_size
        self._process, self._model = (jax.process_index(), jax.process_count()), model
        self._embedded: dict[tuple, Embedded] = {}

    def stream(self, name: str, **asked) -> Stream:
        """The stream that features are made of as its entry in `config.data.streams` says, narrowed to what is `asked`.

        Raises:
            UserError: if they are made of several.
        """
        bases = self._bases(name)
        if len(bases) != 1:
            remedy = "evaluate heads of one stream, or compose queries with kind cross_retrieval"
            raise UserError(f"{name!r} is made of several streams: {', '.join(bases)}", remedy=remedy)
        return make_stream(self._data, bases[0]).narrowed(**asked)

    def model(self) -> tuple:
        """(the model, its parameters); UserError for embeddings that came without one."""
        if self._model is None:
            raise UserError("these embeddings came without their model", remedy="evaluate a run, not its embeddings")
        return self._model

    def rows(self, spec: str, name: str, **asked) -> Embedded:
        """Everything that a stream takes from a source; what cannot be read is left out.

        It is embedded once, however many evaluations ask for it.

        Args:
            spec: the source.
            name: a stream of the model.
            **asked: of `Stream.narrowed`: `keys`, `captions`, `fallback`, `language`.

        Raises:
            UserError: there is nothing, or more cannot be read than `data.max_unreadable`.
        """
        key = spec, name, repr(sorted((option, value) for option, value in asked.items() if value))
        if key not in self._embedded:
            self._embedded[key] = self.embed(*self._listed(spec, name, asked), name)
        return self._embedded[key]

    def embed(self, stream: Stream, source, rows: list, features: str = "") -> Embedded:
        """These rows of an open source; None for rows that hold their values.

        Args:
            stream: what the rows are of.
            source: the open source.
            rows: of `stream.rows`.
            features: name of the features: of a head or a teacher made of the stream; empty: the stream's own.
        """
        vectors, keep = self._encoded(stream, source, rows, features or stream.name)
        kept = [row for row, good in zip(rows, keep, strict=True) if good]
        records = np.array([row.record for row in kept])
        return Embedded(np.concatenate(vectors)[: len(rows)][keep], records, kept)

    def tokens(self, spec: str, name: str, **asked) -> EmbeddedTokens:
        """The tokens of everything that a stream takes from a source; arguments and errors are those of `rows`.

        Raises:
            UserError: also if the features have no tokens, such as those of a head of kind mlp.
        """
        stream, source, rows = self._listed(spec, name, asked)
        features, keep = self._encoded(stream, source, rows, name, tokens=True)
        if features[0].tokens is None:
            remedy = "name a head of kind tokens on a tower such as vit, text or series"
            raise UserError(f"{name!r} has no tokens", where=spec, remedy=remedy)
        masks = [np.ones(f.tokens.shape[:2], bool) if f.mask is None else f.mask for f in features]
        parts = [f.tokens for f in features], masks, [f.pooled for f in features]
        tokens, mask, vectors = (np.concatenate(part)[: len(rows)][keep] for part in parts)
        records = np.array([row.record for row, good in zip(rows, keep, strict=True) if good])
        return EmbeddedTokens(tokens.astype(np.float32, copy=False), mask, vectors, records)

    def objective(self, name: str):
        """The objective of `config.objectives` that bears this name, and its parameters."""
        if self._objectives is None:
            raise UserError(f"no objective {name!r} here", remedy="evaluate it in training")
        return self._objectives(name)

    def _listed(self, spec: str, name: str, asked: dict):
        """(stream, open source, its rows) of what a stream takes from a source."""
        stream, source = self.stream(name, **asked), open_source(spec)
        rows = list_rows(stream, source, self._unreadable())
        if not rows:
            where = f"stream {name!r}" + "".join(f", {option} {value!r}" for option, value in asked.items() if value)
            remedy = "name members, templates or languages that its samples have"
            raise UserError(f"no {stream.noun} in {spec}", where=where, remedy=remedy)
        return stream, source, rows

    def _encoded(self, stream: Stream, source, rows: list, features: str, **how):
        """What `encode` gives of each batch of rows, and which rows could be read, (N,) bool."""
        batches = row_batches(
            stream, source, rows, self._batch_size, self._process, unreadable=self._unreadable(source is None)
        )
        encoded, valid = [], []
        for batch in batches:
            valid.append(self._whole(batch.pop("valid")))
            batch.pop("id")
            encoded.append(self._encode(features, batch, **how))
        if not encoded:
            raise UserError(f"nothing to embed in the stream {stream.name!r}")
        return encoded, np.concatenate(valid)[: len(rows)]

    def vectors(self, vectors: np.ndarray, *, stream: str = "vector") -> np.ndarray:
        """(N, D) for the vectors (N, F) that an encoder takes."""
        rows = [VectorRow(i, vector) for i, vector in enumerate(vectors)]
        return self.embed(self.stream(stream), None, rows, stream).vectors

    def texts(self, texts: list[str], *, stream: str = "text") -> np.ndarray:
        """(N, D) for any texts."""
        rows = [CaptionRow(i, text) for i, text in enumerate(texts)]
        embedded = self.embed(self.stream(stream), None, rows, stream)
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


def make_encoder(model, teachers, mesh) -> Callable:
    """`encode(params, stream, batch) -> (B, D) numpy` of unit-norm embeddings, over all devices of a mesh.

    `params` holds those of the "model", and of the "teachers" by name; `stream` may be a head's name or "ema/image".
    With `tokens=True`, `encode` gives all `Features`.

    Args:
        model: a `mmjax.model.Model`.
        teachers: its teachers.
        mesh: the devices; batches must divide over its batch axes.
    """
    from mmjax.data.device import place
    from mmjax.mesh import batch_sharding, replicated
    from mmjax.teachers import encode as encode_all

    def features(params, batch, stream, tokens):
        found = encode_all(model, teachers, params["model"], params["teachers"], batch)[stream]
        return found if tokens else found.pooled

    compiled = jax.jit(features, static_argnames=("stream", "tokens"), out_shardings=replicated(mesh))

    def encode(params, stream: str, batch, *, tokens: bool = False):
        found = compiled(params, place(batch, batch_sharding(mesh)), stream=stream, tokens=tokens)
        return jax.tree.map(lambda array: np.asarray(array.addressable_data(0)), found)

    return encode
