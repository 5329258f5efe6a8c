"""Some of a source's samples: without duplicates, with certain values in a field, or listed in a file of uids."""

import contextlib
import hashlib
from collections import Counter

import numpy as np

from mmjax.data.selection.conditions import make_conditions
from mmjax.data.selection.scan import scan
from mmjax.data.selection.uids import load_uids
from mmjax.data.sources import Source
from mmjax.data.sources.files import stamp
from mmjax.data.sources.home_cache import home_cache, write_whole
from mmjax.errors import UserError

FORM = "select 1"


def select(source: Source, data) -> Source:
    """The samples of a source that pass all of `data.where`, `data.uids` and `data.unique`; itself if all are empty.

    Every sample is read once, by `data.threads` threads; what is found is kept in the home cache under the source's
    fingerprint. A sample that cannot be read is left out.

    Args:
        source: any source.
        data: `config.data`: `where`, (field, operator, value) triples (`conditions`); `uids`, a file of those to keep
            (`uids`); `unique`, a field of which every value is kept once, in the first sample that has it. Samples
            without that field are all kept. The field `key` is a sample's key where its JSON has no other.

    Raises:
        UserError: nothing is left, no sample has such a field, or more of them cannot be read than
            `data.max_unreadable`.
    """
    if not (data.where or data.uids or data.unique):
        return source
    place = home_cache() / f"select-{_digest(source, data)}.npy"
    try:
        numbers = np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        numbers, faults = _choose(source, data)
        if not faults:  # what failed once may be read next time
            _save(place, numbers)
    return Selected(source, numbers)


def _digest(source, data) -> str:
    uids = f"{data.uids} {stamp(data.uids)}" if data.uids else ""
    said = (FORM, source.fingerprint(), repr(tuple(map(tuple, data.where))), data.unique, uids)
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:32]


def _choose(source, data) -> tuple[np.ndarray, int]:
    """The numbers of the samples that stay, and how many could not be read."""
    listed = load_uids(data.uids) if data.uids else None
    found = scan(source, make_conditions(data.where), data.unique, listed, data.threads, data.max_unreadable)
    keep = found.passed
    if data.unique:
        numbers = np.flatnonzero(keep & found.has_value)
        _, first = np.unique(found.values[numbers], return_index=True)
        keep[np.delete(numbers, first)] = False
    numbers = np.flatnonzero(keep)
    if not len(numbers):
        what = f"none of {len(source)} samples is selected"
        raise UserError(what, where=f"{source.paths[0]}, config.data", remedy="change where, uids or unique")
    return numbers.astype(np.int32 if len(source) <= 2**31 else np.int64), found.unreadable


def _save(place, numbers):
    """Where it cannot be written, the next run scans again."""
    with contextlib.suppress(OSError):
        write_whole(place, lambda file: np.save(file, numbers, allow_pickle=False))


class Selected:
    """A source with some of another's samples, 4 bytes each.

    Args:
        source: the whole.
        numbers: (N,) of the samples kept, in order.
    """

    def __init__(self, source: Source, numbers: np.ndarray):
        self.source, self.numbers, self.paths = source, numbers, source.paths
        self.nbytes = source.nbytes * len(numbers) // len(source)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, i: int) -> dict:
        """The members of sample `i`, and its `__key__` and `__url__`."""
        return self.source[int(self.numbers[i])]

    def members(self, i: int) -> tuple[str, ...]:
        """The names of sample `i`'s members, without reading it."""
        return self.source.members(int(self.numbers[i]))

    def url(self, i: int) -> str:
        """Where sample `i` lies."""
        return self.source.url(int(self.numbers[i]))

    def width(self, stream: str) -> int:
        """Entries of the vectors of a stream."""
        return self.source.width(stream)

    def member_counts(self) -> dict[str, int]:
        """How many of the selected samples have which members."""
        return dict(Counter(", ".join(self.members(i)) for i in range(len(self))))

    def fingerprint(self) -> str:
        """16 hexadecimal digits over the whole's fingerprint and the numbers."""
        digest = hashlib.sha256(self.source.fingerprint().encode() + self.numbers.astype("<i8").tobytes())
        return digest.hexdigest()[:16]
