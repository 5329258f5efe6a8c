"""Embeddings of whole sources, for evaluations that never see the model."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from mmjax.data.captions import text_fields
from mmjax.data.rows import (
    CaptionRow,
    PictureRow,
    caption_batches,
    caption_rows,
    picture_batches,
    picture_rows,
    vector_batches,
)
from mmjax.data.sources import open_source
from mmjax.data.streams import may_be_missing, modality, stream_options
from mmjax.data.tokenizer import Tokenizer
from mmjax.data.unreadable import UnreadableCount
from mmjax.errors import UserError


class Embedded(NamedTuple):
    """Unit rows (N, D) float32, the record (N,) that each belongs to, and the row of `mmjax.data.rows` it was."""

    vectors: np.ndarray
    records: np.ndarray
    rows: list


class Embeddings:
    """Embeds pictures and captions of sources with one set of weights.

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
        self._tokenizer = Tokenizer(data.tokenizer, data.context)

    def pictures(self, spec: str, *, image_keys=(), stream: str = "image") -> Embedded:
        """Every picture of a source; those that cannot be read are left out."""
        source = open_source(spec)
        rows = picture_rows(source, image_keys)
        if not rows:
            raise UserError(
                f"no picture in {spec}", where=f"image_keys {image_keys}", remedy="name endings that its members have"
            )
        return self.picture_rows(source, rows, stream=stream)

    def picture_rows(self, source, rows: list[PictureRow], *, stream: str = "image") -> Embedded:
        """These pictures of an open source."""
        batches = picture_batches(
            source, rows, self._data, self._batch_size, self._process, unreadable=self._unreadable()
        )
        return self._embed(stream, batches, rows)

    def captions(self, spec: str, template: str, *, language: str = "en", stream: str = "text") -> Embedded:
        """Every caption that `template` gives in a source, in one language."""
        rows = caption_rows(open_source(spec), template, language, unreadable=self._unreadable())
        return self.caption_rows(rows, stream=stream)

    def caption_rows(self, rows: list[CaptionRow], *, stream: str = "text") -> Embedded:
        """These captions; those without a token are left out."""
        return self._embed(stream, caption_batches(self._tokenizer, rows, self._batch_size, self._process), rows)

    def rows(self, spec: str, stream: str, *, captions: str = "{txt}") -> Embedded:
        """Everything that a stream takes from a source, as its entry in `config.data.streams` says.

        Args:
            spec: the source.
            stream: a stream of the model.
            captions: template of the captions of a stream whose entry names none.
        """
        options, kind = stream_options(self._data, stream), modality(stream)
        if kind == "image":
            return self.pictures(spec, image_keys=options.image_keys or self._data.image_keys, stream=stream)
        if kind == "vector":
            source = open_source(spec)
            found = np.stack([source[i][stream] for i in range(len(source))])
            return Embedded(self.vectors(found, stream=stream), np.arange(len(source)), list(found))
        template = options.captions[0][0] if options.captions else captions
        language = (options.languages or self._data.languages)[0]
        lacking = may_be_missing(self._data, stream)
        rows = caption_rows(open_source(spec), template, language, may_lack=lacking, unreadable=self._unreadable())
        return self.caption_rows(rows, stream=stream)

    def vectors(self, vectors: np.ndarray, *, stream: str = "vector") -> np.ndarray:
        """(N, D) for the vectors (N, F) that an encoder takes."""
        return self._embed(stream, vector_batches(vectors, self._batch_size, self._process), list(vectors)).vectors

    def texts(self, texts: list[str], *, stream: str = "text") -> np.ndarray:
        """(N, D) for any texts."""
        embedded = self.caption_rows([CaptionRow(i, text) for i, text in enumerate(texts)], stream=stream)
        if len(embedded.rows) < len(texts):
            missing = set(texts) - {row.text for row in embedded.rows}
            raise UserError(f"the tokenizer makes nothing of {sorted(missing)[0]!r}", where="config.data.tokenizer")
        return embedded.vectors

    def labels(self, spec: str, field: str, records: np.ndarray, language: str = "en") -> list[str]:
        """The text of a JSON field of each record; of a field by language, that language's.

        Raises:
            UserError: naming a sample that lacks the field.
        """
        source = open_source(spec)
        by_record = {int(r): text_fields(source[int(r)]).get(field) for r in np.unique(records)}
        values = {r: v.get(language) if isinstance(v, dict) else v for r, v in by_record.items()}
        for record, value in values.items():
            if value is None:
                raise UserError(
                    f"sample {source[record]['__key__']} has no field {field!r}",
                    where=spec,
                    remedy="name another label",
                )
        return [str(values[int(r)]) for r in records]

    def _embed(self, stream: str, batches, rows: list) -> Embedded:
        vectors, valid = [], []
        for batch in batches:
            valid.append(self._whole(batch.pop("valid")))
            batch.pop("id")
            vectors.append(self._encode(stream, batch))
        if not vectors:
            raise UserError(f"nothing to embed in the stream {stream!r}")
        keep = np.concatenate(valid)[: len(rows)]
        kept = [row for row, good in zip(rows, keep, strict=True) if good]
        records = np.array([getattr(row, "record", n) for n, row in enumerate(kept)])
        return Embedded(np.concatenate(vectors)[: len(rows)][keep], records, kept)

    def _whole(self, share: np.ndarray) -> np.ndarray:
        """The flags of the global batch, from every process's share."""
        if jax.process_count() == 1:
            return share
        from jax.experimental import multihost_utils

        return multihost_utils.process_allgather(share, tiled=True)

    def _unreadable(self) -> UnreadableCount:
        return UnreadableCount(self._data.max_unreadable)


def make_encoder(model, mesh) -> Callable:
    """`encode(params, stream, batch) -> (B, D) numpy` of a model's unit-norm embeddings, over all devices of a mesh.

    Args:
        model: a `mmjax.model.Model`.
        mesh: the devices; batches must divide over its batch axes.
    """
    from mmjax.data.device import place
    from mmjax.mesh import batch_sharding, replicated

    def pooled(params, batch, stream):
        modality = stream.split("_")[0]  # rows come as "image" or "text" whichever view of it the stream is
        renamed = {k.replace(modality, stream, 1): v for k, v in batch.items()}
        return model.apply({"params": params}, renamed)[stream].pooled

    compiled = jax.jit(pooled, static_argnames="stream", out_shardings=replicated(mesh))

    def encode(params, stream: str, batch) -> np.ndarray:
        return np.asarray(compiled(params, place(batch, batch_sharding(mesh)), stream=stream).addressable_data(0))

    return encode
