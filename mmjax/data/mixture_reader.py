"""Training rows of a mixture: every part is read with settings of its own."""

from mmjax.data.examples import ExampleReader
from mmjax.data.mixture import Mixture, make_parts, part_data
from mmjax.data.sources import Source
from mmjax.errors import UserError


def make_reader(source: Source, data, streams, seed: int) -> "ExampleReader | MixtureReader":
    """`reader(step, record) -> {stream: value}` for a source of `open_data`."""
    return (MixtureReader if isinstance(source, Mixture) else ExampleReader)(source, data, streams, seed)


class MixtureReader:
    """An `ExampleReader` for every part, with its settings, over the records of the mixture."""

    def __init__(self, mixture: Mixture, data, streams, seed: int):
        check_parts(data, streams)
        self._mixture = mixture
        parts = make_parts(data).values()
        self._readers = [ExampleReader(mixture, part_data(data, part), streams, seed) for part in parts]
        self.streams, self.samples = self._readers[0].streams, self._readers[0].samples
        for reader in self._readers:  # one cache, whatever the number of parts
            reader.samples = self.samples

    def __call__(self, step: int, record: int) -> dict:
        return self._readers[self._mixture.part(record)[0]](step, record)


def check_parts(data, streams) -> None:
    """Raise `UserError` for names in a part that mean nothing, or for what a part must not lack."""
    for name, part in make_parts(data).items():
        where = f"config.data.mixture.{name}"
        for option, names, known in (("streams", part.streams, streams), ("without", part.without, data.augment)):
            for wrong in set(names) - set(known):
                remedy = f"use some of {', '.join(known) or 'none: there are none'}"
                raise UserError(
                    f"{option} names {wrong!r}, which is not there", where=f"{where}.{option}", remedy=remedy
                )
        for stream in streams:
            if part.streams and stream not in part.streams and stream not in data.streams:
                remedy = f"add an entry config.data.streams.{stream}"
                raise UserError(f"the stream {stream!r} may not be missing", where=f"{where}.streams", remedy=remedy)
        for stream, entry in data.streams.items():
            if entry.get("augment") and not part_data(data, part).streams[stream]["augment"]:
                remedy = f"name other entries of data.augment in config.data.streams.{stream}"
                raise UserError(f"no augmentation is left to {stream!r}", where=f"{where}.without", remedy=remedy)
