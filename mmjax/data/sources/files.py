"""Files by path or address: which a pattern means, their size and date, and ranges of their bytes."""

import functools
import glob
import os
import re
import stat
from collections.abc import Iterator
from typing import NamedTuple

from mmjax.data.sources import remote
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

OPEN_FILES = 128
# Of one picture, recording or clip that lies in a file of its own.
MOST_BYTES = 2**30
BLOCK = 2**22


class Stamp(NamedTuple):
    """What tells whether a file is still the one that was indexed: its size in bytes and its date or version."""

    size: int
    date: str


def is_remote(path: str) -> bool:
    """Whether this is an address for fsspec, not a path."""
    return "://" in path


def stamp(path: str) -> Stamp:
    """The stamp of a file; UserError if there is none."""
    try:
        if is_remote(path):
            return Stamp(*remote.stamp(path))
        status = os.stat(path)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        what = "no such file" if missing else f"cannot read the file: {error.strerror or error}"
        raise UserError(what, where=path, remedy="check config.data.source") from error
    return Stamp(status.st_size, str(status.st_mtime_ns))


class Files:
    """`files.read(path, offset, count) -> bytes`, for any number of threads; picklable.

    At most OPEN_FILES local ones stay open.
    """

    def __init__(self):
        self._open = functools.lru_cache(OPEN_FILES)(_Descriptor)

    def read(self, path: str, offset: int, count: int) -> bytes:
        """`count` bytes from `offset` on, fewer at the end of a local file; OSError if it cannot be read."""
        if is_remote(path):
            return remote.read_range(path, offset, count)
        file = self._open(path)  # held until it is read: another thread may evict it meanwhile
        return os.pread(file.number, count, offset)

    def __reduce__(self):
        return Files, ()


class _Descriptor:
    """A descriptor that closes when its last user lets go, so that threads may read while the cache evicts it."""

    def __init__(self, path: str):
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self):
        if hasattr(self, "number"):
            os.close(self.number)


def size_of(path: str) -> int:
    """Its size in bytes; OSError if it cannot be had or this is no regular file."""
    if is_remote(path):
        return remote.stamp(path)[0]
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    return status.st_size


def read_file(path: str) -> bytes:
    """A whole file, which a sample names.

    Raises:
        Unreadable: it has gone, is no regular file, or has more than MOST_BYTES.
    """
    try:
        size = size_of(path)
        if size > MOST_BYTES:
            raise Unreadable("file is too large", f"{path}: {size} bytes")
        if is_remote(path):
            return remote.read_range(path, 0, size) if size else b""
        with open(path, "rb", buffering=0) as file:
            return file.read(size)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        said = getattr(error, "strerror", None) or error
        raise Unreadable("file cannot be read", f"{path}: {said}") from error


def read_blocks(path: str, size: int) -> Iterator[bytes]:
    """The first `size` bytes of a file in order, in blocks of BLOCK."""
    files = Files()
    for start in range(0, size, BLOCK):
        yield files.read(path, start, min(BLOCK, size - start))


def beside(path: str, name: str) -> str:
    """The file that `name` means in the file `path`: an address, an absolute path, or one from the folder of `path`.

    Raises:
        Unreadable: a file behind an address names a path of this machine.
    """
    if is_remote(name):
        return name
    if not is_remote(path):
        return os.path.join(os.path.dirname(path), os.path.expanduser(name))
    if name.startswith(("/", "~")):
        raise Unreadable("file cannot be read", f"{path} names a path of this machine: {name}")
    return f"{path.rpartition('/')[0]}/{name}"


def expand(pattern: str, kind: str = "tar") -> list[str]:
    """The paths that a pattern means, in order.

    Args:
        pattern: a path or address; `{0000..0009}` and `{a,b}` are expanded, `*`, `?` and `[...]` matched and sorted,
            and several joined by `::`.
        kind: the ending of what is looked for, for the message.

    Raises:
        UserError: a part of the pattern means nothing.
    """
    paths = []
    for part in pattern.split("::"):
        for path in _braces(os.path.expanduser(part.strip())):
            found = _matches(path)
            if not found or not path or os.path.isdir(path):
                raise UserError(
                    f"no {kind} matches {path!r}",
                    where="config.data.source",
                    remedy=f"write a pattern such as FOLDER/*.{kind} or FOLDER/{{0000..0009}}.{kind}",
                )
            paths += found
    return paths


def _matches(path: str) -> list[str]:
    if is_remote(path):
        try:
            return remote.glob(path)
        except OSError as error:
            raise UserError(f"cannot list: {error}", where=path, remedy="check the address") from error
    return sorted(glob.glob(path)) if glob.has_magic(path) else [path]


def _braces(pattern: str) -> list[str]:
    """Every expansion of the first `{a..b}` or `{a,b}`, and of the rest in turn; numbers keep their zeros."""
    match = re.search(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}", pattern)
    if not match:
        return [pattern]
    first, last, choices = match.groups()
    width = len(first or "")
    items = choices.split(",") if choices else [f"{i:0{width}d}" for i in range(int(first), int(last) + 1)]
    return [text for item in items for text in _braces(pattern[: match.start()] + item + pattern[match.end() :])]
