"""Random access to the samples of webdataset tars, the layout that img2dataset writes."""

import numpy as np

from mmjax.data.sources.files import MOST_BYTES, Files, expand
from mmjax.data.sources.index import load_indexes, split_name
from mmjax.data.sources.sharded import ShardedSource
from mmjax.data.sources.tarfiles import TarDamage, walk
from mmjax.data.unreadable import Unreadable


class TarSource(ShardedSource):
    """The samples of one or many tars; a sample is a run of members with one key (folder and name up to the first dot).

    What is held in memory is 14 bytes a sample.

    Args:
        pattern: as of `expand`.

    Raises:
        UserError: nothing matches, or a shard is missing, empty, cut off, no tar, or holds what `build_index` refuses.
    """

    def __init__(self, pattern: str):
        paths = expand(pattern)
        super().__init__(paths, load_indexes(paths))
        self._files = Files()

    @property
    def nbytes(self) -> int:
        """What all samples take in the tars."""
        return sum(int(index.arrays["sizes"].sum(dtype=np.int64)) for index in self.indexes)

    def __getitem__(self, i: int) -> dict[str, bytes | str]:
        """The raw members of sample `i` by extension, and its `__key__` and `__url__`.

        Raises:
            Unreadable: it has more than MOST_BYTES, or the shard has gone or changed since it was indexed.
        """
        shard, row = self.place(i)
        path, where = self.paths[shard], self.indexes[shard].arrays
        start, size = int(where["starts"][row]), int(where["sizes"][row])
        if size > MOST_BYTES:
            raise Unreadable("the sample is too large", f"{size} bytes")
        try:
            data = self._files.read(path, start, size)
            files = [(*split_name(name), at, count) for name, _, at, count, _ in walk(_reader(data), size)]
        except OSError as error:
            raise Unreadable("the shard cannot be read", str(error)) from error
        except TarDamage as damage:
            raise Unreadable("the shard has changed or is damaged", f"byte {start + damage.offset}") from damage
        raw = {extension: data[at : at + count] for key, extension, at, count in files if key}
        if tuple(raw) != self.members(i):
            raise Unreadable("the shard has changed or is damaged", f"byte {start}")
        return {"__key__": next(key for key, *_ in files if key), "__url__": path} | raw


def _reader(data: bytes):
    return lambda offset, count: data[offset : offset + count]


def open_emoji(split: str) -> TarSource:
    """A split of the emoji that ship; UserError if there is no such split."""
    from mmjax.data.emoji import shard

    return TarSource(shard(split))
