"""Evaluation: everything a stream takes from a source once, in order, unaugmented, in padded batches."""

from collections.abc import Iterator

import numpy as np

from mmjax.data.read_ahead import read_ahead
from mmjax.data.samples import Samples
from mmjax.data.streams import Stream
from mmjax.data.unreadable import Fault, Lacking, Unreadable, UnreadableCount


def list_rows(stream: Stream, source, unreadable: UnreadableCount) -> list:
    """The evaluation rows of a stream (`Stream.rows`), record by record.

    A record without any is left out. Where listing takes reading, it is counted in `unreadable` too, unless it may
    lack the stream.
    """
    samples, rows = Samples(source, cache=0), []
    for record in range(len(source)):
        faults = []
        try:
            rows += stream.rows(samples, record)
        except Unreadable as fault:
            if not (stream.optional and isinstance(fault, Lacking)):
                faults.append(samples.fault(record, fault))
        unreadable.add(int(stream.in_memory), faults)
    return rows


def row_batches(
    stream: Stream, source, rows: list, batch_size: int, process=(0, 1), *, unreadable: UnreadableCount
) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of every batch of `rows`; the last batch is padded.

    Args:
        stream: whose rows they are.
        source: the random-access source that they are of; None for rows that hold their values.
        rows: of `list_rows`.
        batch_size: rows of the global batch, B, a multiple of the process count.
        process: (index, count); this process takes a contiguous b = B / count.
        unreadable: counts the rows that cannot be read; they are not valid.

    Yields:
        The stream's arrays (b, ...), `id` (b,) int32: the record, `valid` (b,) bool: False for padding and for rows
        that cannot be read.
    """
    reader = _RowReader(stream, source, rows, batch_size, *process)
    numbers = range(-(-len(rows) // batch_size))
    # What is in memory needs no threads, let alone processes that start first.
    batches = (
        map(reader, numbers) if stream.in_memory else read_ahead(reader, numbers, stream.data, stream.data.prefetch)
    )
    try:
        for batch, faults in batches:
            unreadable.add(0 if stream.in_memory else len(batch["id"]), [Fault(*fault) for fault in faults])
            yield batch
    finally:
        if hasattr(batches, "close"):
            batches.close()


class _RowReader:
    """`reader(number) -> (batch, faults)`: this process's rows of one global batch."""

    def __init__(self, stream, source, rows, batch_size, index, count):
        self.stream, self.rows = stream, rows
        self.samples = None if source is None else Samples(source, cache=0)
        self.batch_size, self.share = batch_size, batch_size // count
        self.first = index * self.share

    def __call__(self, number: int):
        start = int(number) * self.batch_size + self.first
        own, faults = self.rows[start : start + self.share], []
        batch = {"id": np.zeros(self.share, np.int32), "valid": np.zeros(self.share, bool)}
        for ending, (shape, dtype) in self.stream.shapes_of(self.rows).items():
            batch[self.stream.name + ending] = np.zeros((self.share, *shape), dtype)
        batch["id"][: len(own)] = [row.record for row in own]
        values = [self._value(row, faults) for row in own]
        places = [place for place, value in enumerate(values) if value is not None]
        batch["valid"][places] = True
        kept = [values[place] for place in places]
        for wrong, fault in self.stream.write(batch, places, kept) if places else ():
            batch["valid"][places[wrong]] = False
            faults.append(self._fault(own[places[wrong]], fault))
        return batch, faults

    def _value(self, row, faults):
        try:
            return self.stream.read(self.samples, row)
        except Unreadable as fault:
            if not (self.stream.optional and isinstance(fault, Lacking)):  # such as a clip that does not move
                faults.append(self._fault(row, fault))
            return None

    def _fault(self, row, fault):
        if self.samples is None:
            return Fault(fault.reason, "", f"row {row.record}", fault.detail)
        return tuple(self.samples.fault(row.record, fault))
