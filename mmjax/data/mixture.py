"""Several sources as one: their records numbered part after part, drawn by weight (`mmjax.data.order`)."""

import hashlib
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from types import SimpleNamespace

from mmjax.data.groups import GroupedOrder, load_groups
from mmjax.data.order import Order
from mmjax.data.selection.select import select
from mmjax.data.sources import Source, open_source
from mmjax.errors import UserError

# Options of a part that, where given, stand in for those of `config.data`.
KEYS = ("image_keys", "audio_keys", "video_keys", "series_keys")
OVERRIDES = ("captions", "languages", *KEYS, "where", "unique", "uids")


@dataclass(frozen=True)
class Part:
    """One source of a mixture. What it leaves empty is as `config.data` says.

    Attributes:
        source: as data.source.
        weight: share of the rows, against the weights of the other parts.
        captions: caption templates, each with its weight.
        languages: one is drawn for each example.
        image_keys: endings of the members to draw a picture from.
        audio_keys: endings of the members to draw a sound from.
        video_keys: endings of the members to draw a clip from.
        series_keys: endings of the members to draw a time series from.
        where: conditions on the fields of the samples used.
        unique: field of which every value is used once.
        uids: file of the uids of the samples used.
        streams: the streams that its samples carry; none: whatever they have. The others count as missing.
        without: names of entries in data.augment that its pictures are spared.
    """

    source: str
    weight: float = 1.0
    captions: tuple = ()
    languages: tuple = ()
    image_keys: tuple = ()
    audio_keys: tuple = ()
    video_keys: tuple = ()
    series_keys: tuple = ()
    where: tuple = ()
    unique: str = ""
    uids: str = ""
    streams: tuple = ()
    without: tuple = ()


class Mixture:
    """A random-access source of all records of several sources, those of the first before those of the second.

    Reading is the pipeline's: however many parts, there are no further threads.

    Args:
        sources: by name; their order numbers the records.
        weights: by name.

    Attributes:
        names, sources, weights, counts: of each part.
    """

    def __init__(self, sources: Mapping[str, Source], weights: Mapping[str, float]):
        self.names, self.sources = tuple(sources), list(sources.values())
        self.weights = tuple(weights[name] for name in self.names)
        self.counts = [len(source) for source in self.sources]
        self._ends = list(accumulate(self.counts))
        self.paths = [path for source in self.sources for path in source.paths]
        self.nbytes = sum(source.nbytes for source in self.sources)

    def __len__(self) -> int:
        return self._ends[-1]

    def part(self, record: int) -> tuple[int, int]:
        """(number of the part, number within its source) of a record."""
        part = bisect_right(self._ends, record)
        return part, record - self._ends[part] + self.counts[part]

    def __getitem__(self, i: int) -> dict:
        """The members of sample `i`, and its `__key__` and `__url__`."""
        part, number = self.part(i)
        return self.sources[part][number]

    def members(self, i: int) -> tuple[str, ...]:
        """The names of sample `i`'s members, without reading it."""
        part, number = self.part(i)
        return self.sources[part].members(number)

    def url(self, i: int) -> str:
        """Where sample `i` lies."""
        part, number = self.part(i)
        return self.sources[part].url(number)

    def width(self, stream: str) -> int:
        """Entries of the vectors of a stream; UserError where no part gives any, or two disagree."""
        widths, refusals = {}, []
        for name, source in zip(self.names, self.sources, strict=True):
            try:
                widths[name] = source.width(stream)
            except UserError as error:
                refusals.append(error)
        if not widths:
            raise refusals[0]
        if len(set(widths.values())) > 1:
            said = ", ".join(f"{name}: {width}" for name, width in widths.items())
            remedy = "mix only vectors of one model"
            raise UserError(
                f"{stream!r} has vectors of several widths: {said}", where="config.data.mixture", remedy=remedy
            )
        return next(iter(widths.values()))

    def member_counts(self) -> dict[str, int]:
        """How many samples of all parts have which members."""
        return dict(sum((Counter(source.member_counts()) for source in self.sources), Counter()))

    def fingerprint(self) -> str:
        """16 hexadecimal digits over names and fingerprints of the parts."""
        parts = [f"{name} {source.fingerprint()}" for name, source in zip(self.names, self.sources, strict=True)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def open_data(data) -> Source:
    """What `config.data` trains on: the selected samples of `source`, or of the parts of `mixture` if it has any.

    Raises:
        UserError: a source cannot be opened, a selection cannot be made, or a weight is not positive and finite.
    """
    return _open(data, select)


def vector_width(data, stream: str) -> int:
    """Entries of the vectors that `config.data` gives for a stream, told without selecting samples.

    Raises:
        UserError: a source cannot be opened, none gives such vectors, or two disagree.
    """
    return _open(data, lambda source, _: source).width(stream)


def _open(data, choose) -> Source:
    """The source or mixture of `config.data`, of samples `choose(source, its config.data)`."""
    if not data.mixture:
        return choose(open_source(data.source), data)
    parts = make_parts(data)
    for name, part in parts.items():
        if not 0 < part.weight < math.inf:
            where = f"config.data.mixture.{name}.weight"
            raise UserError(
                f"weight {part.weight} is not positive and finite",
                where=where,
                remedy="change it, or leave the part out",
            )
    sources = {name: choose(open_source(part.source), part_data(data, part)) for name, part in parts.items()}
    return Mixture(sources, {name: part.weight for name, part in parts.items()})


def make_parts(data) -> dict[str, Part]:
    """The entries of `config.data.mixture` by name."""
    return {name: Part(**{k: v for k, v in entry.items() if k != "kind"}) for name, entry in data.mixture.items()}


def part_data(data, part: Part) -> SimpleNamespace:
    """`config.data` as it is for one part: what that names comes before `config.data` and its entries of streams.

    A stream that the part does not carry is missing from all its samples.
    """
    settings = dict(data.items() if hasattr(data, "items") else vars(data))
    settings |= {name: getattr(part, name) for name in OVERRIDES if getattr(part, name)}
    settings["source"] = part.source
    settings["augment"] = {name: entry for name, entry in data.augment.items() if name not in part.without}
    settings["streams"] = {name: _entry(name, entry, part) for name, entry in data.streams.items()}
    return SimpleNamespace(**settings)


def _entry(stream, entry, part) -> dict:
    """A stream's entry where the part's own options come before it."""
    entry = dict(entry) | {option: () for option in OVERRIDES if option in entry and getattr(part, option)}
    if part.streams and stream not in part.streams:
        entry["missing"] = 1.0
    if entry.get("augment"):
        entry["augment"] = tuple(name for name in entry["augment"] if name not in part.without)
    return entry


def make_order(source: Source, seed: int, batch_size: int, groups: str = "") -> "Order | GroupedOrder":
    """The order of a source's records, of those of a mixture's parts by weight, or by the `groups` of a file.

    Raises:
        UserError: the groups do not fit, or are given for a mixture, whose parts have shares of every batch.
    """
    if groups and isinstance(source, Mixture):
        remedy = "train on one source, or leave the groups out"
        raise UserError("a mixture has no batches of one group", where="config.data.groups", remedy=remedy)
    if groups:
        return GroupedOrder(seed, load_groups(groups, len(source)), batch_size, groups)
    if isinstance(source, Mixture):
        names = [f"part {name!r} of the mixture" for name in source.names]
        return Order(seed, source.counts, batch_size, source.weights, names)
    return Order(seed, len(source), batch_size)
