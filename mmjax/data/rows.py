"""Evaluation: every picture and every caption of a source once, in order, unaugmented, in padded batches."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mmjax.data.captions import all_captions
from mmjax.data.examples import decode_resized
from mmjax.data.pipeline import read_ahead
from mmjax.data.samples import Samples
from mmjax.data.tokenizer import Tokenizer
from mmjax.data.unreadable import Fault, Lacking, Unreadable, UnreadableCount


class PictureRow(NamedTuple):
    """One picture of a source: the record it belongs to, and which of its members it is."""

    record: int
    member: str


class CaptionRow(NamedTuple):
    """One caption of a source and the record it belongs to."""

    record: int
    text: str


def picture_rows(source, image_keys=()) -> list[PictureRow]:
    """Every picture of every record, found in the index without reading the data.

    Args:
        source: a random-access source.
        image_keys: endings of the members to take; none means any jpg, jpeg, png or webp.
    """
    samples = Samples(source, decode_resized, image_keys)
    return [PictureRow(record, member) for record in range(len(source)) for member in samples.pictures(record)]


def caption_rows(
    source, template: str, language: str = "", *, may_lack: bool = False, unreadable: UnreadableCount
) -> list[CaptionRow]:
    """Every caption that `template` gives in `language` (see `captions.all_captions`), record by record.

    A record without that caption is left out and, unless it `may_lack` one, counted in `unreadable`.
    """
    samples, rows = Samples(source, decode_resized), []
    for record in range(len(source)):
        faults = []
        try:
            rows += [CaptionRow(record, text) for text in all_captions(samples[record].fields(), template, language)]
        except Unreadable as fault:
            if not (may_lack and isinstance(fault, Lacking)):
                faults.append(samples.fault(record, fault))
        unreadable.add(1, faults)
    return rows


def picture_batches(
    source, rows: list[PictureRow], data, batch_size: int, process=(0, 1), *, unreadable: UnreadableCount
) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of every batch of `rows`; the last batch is padded.

    Args:
        source: a random-access source.
        rows: of `picture_rows`.
        data: `config.data`, for `image_size`, `resize` and how to read ahead.
        batch_size: rows of the global batch, B, a multiple of the process count.
        process: (index, count); this process takes a contiguous b = B / count.
        unreadable: counts the pictures that do not decode; their rows are not valid.

    Yields:
        `image` (b,S,S,3) uint8, `id` (b,) int32: the record, `valid` (b,) bool: False for padding and unreadable rows.
    """
    reader = _PictureReader(source, rows, data, batch_size, *process)
    batches = read_ahead(reader, range(-(-len(rows) // batch_size)), data, data.prefetch)
    try:
        for batch, faults in batches:
            unreadable.add(len(batch["id"]), [Fault(*fault) for fault in faults])
            yield batch
    finally:
        batches.close()


class _PictureReader:
    """`reader(number) -> (batch, faults)`."""

    def __init__(self, source, rows, data, batch_size, index, count):
        self.samples, self.rows = Samples(source, decode_resized), rows
        self.size, self.resize = data.image_size, data.resize
        self.slice = _Slice(batch_size, index, count)

    def __call__(self, number: int):
        n = self.slice.rows
        batch = {"image": np.zeros((n, self.size, self.size, 3), np.uint8)} | _blank(n)
        faults = []
        for place, row in enumerate(self.slice(self.rows, number)):
            batch["id"][place] = row.record
            try:
                data = self.samples.source[row.record][row.member]
                batch["image"][place] = np.asarray(decode_resized(data, resize=self.resize, size=self.size))
                batch["valid"][place] = True
            except Unreadable as fault:
                faults.append(tuple(self.samples.fault(row.record, fault)))
        return batch, faults


def caption_batches(
    tokenizer: Tokenizer, rows: list[CaptionRow], batch_size: int, process=(0, 1)
) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of every batch of `rows`; the last batch is padded. Arguments as in `picture_batches`.

    Yields:
        `text` (b,L) int32, `text_mask` (b,L) bool, `id` (b,) int32: the record, `valid` (b,) bool: False for padding
        and for captions without a token.
    """
    share = _Slice(batch_size, *process)
    for number in range(-(-len(rows) // batch_size)):
        own = share(rows, number)
        texts = [row.text for row in own] + [""] * (share.rows - len(own))
        ids, mask = tokenizer(texts)
        batch = {"text": ids, "text_mask": mask} | _blank(share.rows)
        batch["id"][: len(own)] = [row.record for row in own]
        batch["valid"][: len(own)] = mask[: len(own)].any(1)
        yield batch


def vector_batches(vectors: np.ndarray, batch_size: int, process=(0, 1)) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of every batch of `vectors` (N, F); the last batch is padded. Arguments as above.

    Yields:
        `vector` (b,F) float32, `id` (b,) int32: the row, `valid` (b,) bool: False for padding.
    """
    share, numbers = _Slice(batch_size, *process), np.arange(len(vectors))
    for number in range(-(-len(vectors) // batch_size)):
        own = share(numbers, number)
        batch = {"vector": np.zeros((share.rows, vectors.shape[1]), np.float32)} | _blank(share.rows)
        batch["vector"][: len(own)], batch["id"][: len(own)], batch["valid"][: len(own)] = vectors[own], own, True
        yield batch


class _Slice:
    """`slice(rows, number)`: this process's rows of one global batch, fewer at the end."""

    def __init__(self, batch_size, index, count):
        self.batch_size, self.rows = batch_size, batch_size // count
        self.first = index * self.rows

    def __call__(self, rows, number):
        start = number * self.batch_size + self.first
        return rows[start : min(start + self.rows, len(rows))]


def _blank(rows):
    return {"id": np.zeros(rows, np.int32), "valid": np.zeros(rows, bool)}
