"""Training batches as a pure function of (seed, step), read ahead by threads or processes."""

from collections.abc import Iterator

import numpy as np

from mmjax.data.groups import groups_fingerprint
from mmjax.data.labels import label_of
from mmjax.data.mixture import make_order, open_data
from mmjax.data.mixture_reader import make_reader
from mmjax.data.order import Order
from mmjax.data.read_ahead import read_ahead
from mmjax.data.shapes import batch_shapes
from mmjax.data.unreadable import Fault, Unreadable, UnreadableCount
from mmjax.errors import UserError

ATTEMPTS = 8
CHUNK_ROWS = 256
# Rows whose values are held at once before they are written: some, since captions are best tokenised together.
HELD_ROWS = 64
ENDLESS = 2**62


class TrainPipeline:
    """This process's rows of every batch.

    Args:
        data: `config.data`.
        streams: names such as ("image", "text", "image_2").
        seed: the run's seed.
        batch_size: rows of the global batch, B.
        process_index, process_count: this process takes its contiguous share of the rows, b = B / process_count.
    """

    def __init__(self, data, streams, seed: int, batch_size: int, process_index: int = 0, process_count: int = 1):
        if batch_size % process_count:
            raise UserError(
                f"batch_size {batch_size} does not divide by {process_count} processes",
                where="config.batch_size",
                remedy=f"use a multiple of {process_count}",
            )
        self.source = open_data(data)
        self.unreadable = UnreadableCount(data.max_unreadable)
        share = batch_size // process_count
        self._data = data
        order = make_order(self.source, seed, batch_size, data.groups)
        self.batches_per_epoch = order.batches_per_epoch
        self.reader = make_reader(self.source, data, streams, seed)
        self.shapes = batch_shapes(data, streams, batch_size)
        self._chunks = _Chunks(self.reader, order, self.shapes, process_index * share, share, data.label)

    def fingerprint(self) -> str:
        """What a resumed run must find unchanged in the data."""
        source = self.source.fingerprint()
        return f"{source}, groups {groups_fingerprint(self._data.groups)}" if self._data.groups else source

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """The arrays (b, ...) of every stream (`Stream.shapes`), such as `text` and `text_mask`, and `id` (b,) int32.

        Of a stream with an entry in `data.streams` also `<stream>_present` (b,) bool; a row without it is zeros. With
        `data.label` also `label` (b,) int32 (`label_of`).

        Raises:
            UserError: more samples are unreadable than `max_unreadable` allows.
        """
        count = self._chunks.count
        return self._join([self._chunks(chunk) for chunk in range(step * count, (step + 1) * count)])

    def iterate(self, start_step: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """Endless batches, each equal to `batch(step)` for step = start_step, start_step + 1, ..."""
        count = self._chunks.count
        chunks = read_ahead(self._chunks, range(start_step * count, ENDLESS), self._data, self._data.prefetch * count)
        try:
            while True:
                yield self._join([next(chunks) for _ in range(count)])
        finally:
            chunks.close()

    def examples(self, step: int, rows: range) -> Iterator[tuple[str, dict]]:
        """(key, {stream: value or None}) of rows of a batch, as drawn; unreadable ones left out."""
        reader = self.reader
        for record in self._chunks.order.records(step, np.array(rows)).tolist():
            try:
                yield reader.samples[record].key, reader(step, record)
            except Unreadable as fault:
                self.unreadable.add(1, [reader.samples.fault(record, fault)])

    def _join(self, parts) -> dict[str, np.ndarray]:
        arrays = [part for part, _ in parts]
        self.unreadable.add(self._chunks.share, [Fault(*fault) for _, faults in parts for fault in faults])
        if len(arrays) == 1:
            return arrays[0]
        return {name: np.concatenate([part[name] for part in arrays]) for name in arrays[0]}


class _Chunks:
    """`chunks(number) -> (arrays, faults)`: a batch is made in `count` pieces, so that many workers share it."""

    def __init__(self, reader, order: Order, shapes: dict, first: int, share: int, label: str):
        self.reader, self.order, self.shapes, self.label = reader, order, shapes, label
        self.first, self.share = first, share
        self.count = -(-share // CHUNK_ROWS)

    def __call__(self, number: int):
        step, part = divmod(int(number), self.count)
        return self.rows(step, self.first + np.array_split(np.arange(self.share), self.count)[part])

    def rows(self, step: int, rows: np.ndarray):
        """The arrays of `rows` (n,) of the global batch, and a tuple for each sample that could not be read."""
        arrays, faults = self._empty(len(rows)), []
        pending = np.arange(len(rows))
        for attempt in range(ATTEMPTS):
            records = self.order.records(step, rows[pending], attempt)
            parts = np.array_split(np.arange(len(pending)), -(-len(pending) // HELD_ROWS))
            bad = [self._fill(arrays, step, pending[part], records[part], faults) for part in parts]
            pending = pending[np.concatenate(bad)]
            if not len(pending):
                return arrays, faults
        raise UserError(
            f"{ATTEMPTS} samples in a row are unreadable",
            where="; ".join(str(Fault(*fault)) for fault in faults[-3:]),
            remedy="mend the data; `mmjax data --config=...` lists what is wrong",
        )

    def _fill(self, arrays, step, places, records, faults) -> np.ndarray:
        """Writes `records` into the rows at `places`; which of them failed, (n,) bool."""
        examples, bad = {}, np.zeros(len(places), bool)
        for n, record in enumerate(records.tolist()):
            try:
                example = self.reader(step, record)
                if self.label:
                    arrays["label"][places[n]] = label_of(self.reader.samples[record].fields(), self.label)
                examples[n] = example
            except Unreadable as fault:
                bad[n] = True
                faults.append(self._fault(record, fault))
        read = np.array(list(examples), int)
        for stream in self.reader.streams if examples else ():
            values = [example[stream.name] for example in examples.values()]
            for number, fault in stream.write(arrays, places[read], values):
                n = read[number]
                if not bad[n]:
                    faults.append(self._fault(int(records[n]), fault))
                bad[n] = True
            if stream.optional:
                arrays[f"{stream.name}_present"][places[read]] = [value is not None for value in values]
        arrays["id"][places] = records
        return bad

    def _fault(self, record, fault):
        return tuple(self.reader.samples.fault(record, fault))

    def _empty(self, n):
        return {name: np.empty((n, *shape[1:]), dtype) for name, (shape, dtype) in self.shapes.items()}
