"""One row of a training batch: what each stream takes from a sample."""

from mmjax.data.samples import MEBIBYTE, Samples
from mmjax.data.streams import Draws, is_dropped, make_streams
from mmjax.data.unreadable import Lacking


class ExampleReader:
    """`reader(step, record) -> {stream: value}`, None where the sample lacks it.

    Draws are keyed by (seed, stream, step, record).

    Args:
        source: a random-access source.
        data: `config.data`.
        streams: names such as "image", "text", and further views such as "image_2".
        seed: the run's seed.
    """

    def __init__(self, source, data, streams, seed: int):
        self.streams, self.seed = make_streams(data, streams), seed
        self.samples = Samples(source, data.cache * MEBIBYTE)
        for stream in self.streams:
            stream.open()

    def __call__(self, step: int, record: int) -> dict:
        draws, row, sample = Draws(self.seed, step, record), {}, None
        for stream in self.streams:
            row[stream.name] = None
            if is_dropped(stream.missing, self.seed, stream.name, record):
                continue
            try:
                sample = sample or self.samples[record]
                row[stream.name] = stream.draw(sample, draws)
            except Lacking:
                if not stream.optional:
                    raise
        return row
