"""What all sources have in common whose samples lie in files one after the other, each file with an index."""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass

import numpy as np

from mmjax.data.sources.index_cache import Arrays
from mmjax.errors import UserError


@dataclass(frozen=True)
class FileIndex:
    """The N samples of one file.

    Attributes:
        layouts: (N,) uint16, which of `members` each sample has.
        members: the distinct sets of member names, for example [("jpg", "txt")].
        digest: tells apart contents, whatever their folder and date.
        arrays: where the samples lie, as the format needs it: (N,) each.
    """

    layouts: np.ndarray
    members: list[tuple[str, ...]]
    digest: str
    arrays: Arrays

    @classmethod
    def of(cls, arrays: Arrays) -> "FileIndex":
        """From what is cached: `layouts`, `names` (member sets joined by "/"), `digest` and all else."""
        rest = {name: array for name, array in arrays.items() if name not in ("layouts", "names", "digest")}
        members = [tuple(name.split("/")) if name else () for name in arrays["names"].tolist()]
        return cls(arrays["layouts"], members, str(arrays["digest"]), rest)


class Layouts:
    """Numbers the distinct member sets of a file while it is indexed."""

    def __init__(self):
        self._numbers: dict[str, int] = {}
        self._of_samples: list[int] = []

    def add(self, members) -> None:
        """The member names of the next sample."""
        name = "/".join(members)
        self._of_samples.append(self._numbers.setdefault(name, len(self._numbers)))

    def arrays(self, path: str) -> Arrays:
        """`layouts` and `names` of `FileIndex.of`; UserError past 65,536 distinct sets."""
        if len(self._numbers) > 2**16:
            raise UserError(
                f"{len(self._numbers)} different sets of member names",
                where=path,
                remedy="a key ends at the first dot of the file name: rename members that have further dots",
            )
        return {"layouts": np.array(self._of_samples, "u2"), "names": np.array(list(self._numbers), np.str_)}


class ShardedSource:
    """All of a source but reading a sample.

    Args:
        paths: files in order.
        indexes: their indexes.
    """

    def __init__(self, paths: list[str], indexes: list[FileIndex]):
        self.paths = paths
        # Not joined into one array each: that would take twice the memory for a moment.
        self.indexes = indexes
        self._firsts = np.cumsum([0] + [len(index.layouts) for index in indexes])
        if not len(self):
            raise UserError("the source holds no samples", where=", ".join(paths), remedy="check config.data.source")

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def place(self, i: int) -> tuple[int, int]:
        """The number of the file that holds sample `i`, and the sample's number in it."""
        if not 0 <= i < len(self):
            raise IndexError(i)
        file = int(np.searchsorted(self._firsts, i, side="right")) - 1
        return file, i - int(self._firsts[file])

    def members(self, i: int) -> tuple[str, ...]:
        """The names of sample `i`'s members, for example ("jpg", "txt"), without reading it."""
        file, row = self.place(i)
        index = self.indexes[file]
        return index.members[index.layouts[row]]

    def url(self, i: int) -> str:
        """The path of the file that holds sample `i`."""
        return self.paths[self.place(i)[0]]

    def width(self, stream: str) -> int:
        """Most formats hold no vectors: a UserError."""
        remedy = 'use other streams, or join vectors to it: "SOURCE && numpy:FOLDER"'
        raise UserError(f"no vectors for the stream {stream!r}", where=self.paths[0], remedy=remedy)

    def member_counts(self) -> dict[str, int]:
        """How many samples have which members, for example {"jpg, txt": 9990, "txt": 10}."""
        counts: Counter[str] = Counter()
        for index in self.indexes:
            numbers = np.bincount(index.layouts, minlength=len(index.members)).tolist()
            for names, count in zip(index.members, numbers, strict=True):
                counts[", ".join(names)] += count
        return dict(counts)

    def fingerprint(self) -> str:
        """16 hexadecimal digits over file names and what is in them; folders and dates do not matter."""
        parts = [
            f"{os.path.basename(path)} {index.digest}" for path, index in zip(self.paths, self.indexes, strict=True)
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
