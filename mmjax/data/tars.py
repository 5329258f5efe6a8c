"""Random access to the samples of webdataset tars, the layout that img2dataset writes."""

import functools
import glob
import hashlib
import os
import re

import numpy as np

from mmjax.data.index import load_indexes, split_name
from mmjax.data.tarfiles import TarDamage, walk
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

OPEN_SHARDS = 128


class TarSource:
    """The samples of one or many tars; a sample is a run of members with one key (folder and name up to the first dot).

    Args:
        pattern: a path, with `{0000..0009}` or `{a,b}` expanded, `*`, `?` and `[...]` matched and sorted, and several
            joined by `::`.

    Raises:
        UserError: nothing matches, or a shard is missing, empty, cut off or no tar.
    """

    def __init__(self, pattern: str):
        self.paths = expand(pattern)
        indexes = load_indexes(self.paths)
        self.shard_sizes = [len(index.starts) for index in indexes]
        self._digests = [index.digest for index in indexes]
        self._shards = np.repeat(np.arange(len(indexes), dtype="u4"), self.shard_sizes)
        self._starts = np.concatenate([index.starts for index in indexes])
        self._sizes = np.concatenate([index.sizes for index in indexes])
        self._names, self._layouts = _joint_layouts(indexes)
        self._open = functools.lru_cache(OPEN_SHARDS)(_OpenFile)

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def nbytes(self) -> int:
        """What all samples take in the tars."""
        return int(self._sizes.sum(dtype=np.int64))

    def members(self, i: int) -> tuple[str, ...]:
        """The extensions of sample `i`, for example ("jpg", "txt"), without reading the tar."""
        return self._names[self._layouts[i]]

    def url(self, i: int) -> str:
        """The path of the shard that holds sample `i`."""
        return self.paths[self._shards[i]]

    def __getitem__(self, i: int) -> dict[str, bytes | str]:
        """The raw members of sample `i` by extension, and its `__key__` and `__url__`.

        Raises:
            Unreadable: the shard has gone or changed since it was indexed.
        """
        path, start, size = self.url(i), int(self._starts[i]), int(self._sizes[i])
        try:
            file = self._open(path)  # held until it is read: another thread may evict it meanwhile
            data = os.pread(file.number, size, start)
            files = [(*split_name(name), at, count) for name, _, at, count, _ in walk(_reader(data), size)]
        except OSError as error:
            raise Unreadable("the shard cannot be read", str(error)) from error
        except TarDamage as damage:
            raise Unreadable("the shard has changed or is damaged", f"byte {start + damage.offset}") from damage
        raw = {extension: data[at : at + count] for key, extension, at, count in files if key}
        if tuple(raw) != self.members(i):
            raise Unreadable("the shard has changed or is damaged", f"byte {start}")
        return {"__key__": next(key for key, *_ in files if key), "__url__": path} | raw

    def width(self, stream: str) -> int:
        """Tars hold pictures and texts: always a UserError."""
        raise UserError(
            f"no vectors for the stream {stream!r}", where=self.paths[0], remedy="use image and text streams"
        )

    def member_counts(self) -> dict[str, int]:
        """How many samples have which members, for example {"jpg, txt": 9990, "txt": 10}."""
        counts = np.bincount(self._layouts, minlength=len(self._names)).tolist()
        return {", ".join(names): count for names, count in zip(self._names, counts, strict=True)}

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_open"}

    def __setstate__(self, state):
        vars(self).update(state, _open=functools.lru_cache(OPEN_SHARDS)(_OpenFile))

    def fingerprint(self) -> str:
        """16 hexadecimal digits over shard names, keys and member sizes; folders and dates do not matter."""
        parts = [f"{os.path.basename(path)} {digest}" for path, digest in zip(self.paths, self._digests, strict=True)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _joint_layouts(indexes):
    """The distinct member sets of all shards, and for each sample which it has, (N,) uint16."""
    distinct, numbers = np.unique(np.concatenate([index.names for index in indexes]), return_inverse=True)
    numbers = numbers.astype("u2")
    firsts = np.cumsum([0] + [len(index.names) for index in indexes])
    layouts = [numbers[first:][index.layouts] for first, index in zip(firsts, indexes, strict=False)]
    return [tuple(name.split("/")) for name in distinct], np.concatenate(layouts)


def _reader(data: bytes):
    return lambda offset, count: data[offset : offset + count]


class _OpenFile:
    """A descriptor that closes when its last user lets go, so that threads may read while the cache evicts it."""

    def __init__(self, path: str):
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self):
        if hasattr(self, "number"):
            os.close(self.number)


def expand(pattern: str) -> list[str]:
    """The paths that a pattern means, in order; UserError if one part of it means none."""
    paths = []
    for part in pattern.split("::"):
        for path in _braces(os.path.expanduser(part.strip())):
            found = sorted(glob.glob(path)) if glob.has_magic(path) else [path]
            if not found or not path or os.path.isdir(path):
                raise UserError(
                    f"no tar matches {path!r}",
                    where="config.data.source",
                    remedy="write a pattern such as FOLDER/*.tar or FOLDER/{0000..0009}.tar",
                )
            paths += found
    return paths


def _braces(pattern: str) -> list[str]:
    """Every expansion of the first `{a..b}` or `{a,b}`, and of the rest in turn; numbers keep their zeros."""
    match = re.search(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}", pattern)
    if not match:
        return [pattern]
    first, last, choices = match.groups()
    width = len(first or "")
    items = choices.split(",") if choices else [f"{i:0{width}d}" for i in range(int(first), int(last) + 1)]
    return [text for item in items for text in _braces(pattern[: match.start()] + item + pattern[match.end() :])]
