"""Where each sample lies in its tar: built once, cached beside the shard, checked against its size and date."""

import contextlib
import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmjax.data.tarfiles import TarDamage, walk
from mmjax.errors import UserError

SUFFIX = ".mmjax-index.npz"
FORMAT = 1
MOST_LAYOUTS = 2**16
SHARDS_PER_BUILDER = 8
UNUSABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class ShardIndex:
    """The samples of one shard, 14 bytes each.

    Attributes:
        starts: (N,) uint64, first byte of each sample: its first header.
        sizes: (N,) uint32, its length with headers and padding.
        layouts: (N,) uint16, which of `names` it has.
        names: the distinct sets of members, each a "/"-joined string of extensions, for example "jpg/txt".
        digest: sha256 of every key and member size in order, hexadecimal.
    """

    starts: np.ndarray
    sizes: np.ndarray
    layouts: np.ndarray
    names: np.ndarray
    digest: str


def split_name(name: str) -> tuple[str, str]:
    """(key, extension): folder and basename up to the first dot, and what follows it; ("", "") if there is no dot."""
    name = name.removeprefix("./")
    slash = name.rfind("/") + 1
    dot = name.find(".", slash)
    return (name[:dot], name[dot + 1 :].lower()) if slash < dot < len(name) - 1 else ("", "")


def build_index(path: str) -> ShardIndex:
    """Walks the headers of one tar. Samples are runs of members with one key.

    Raises:
        UserError: missing, unreadable, empty, cut-off or not a tar.
    """
    samples, digest = [], hashlib.sha256()
    key, extensions = "", []
    try:
        with open(path, "rb", buffering=0) as file:
            descriptor = file.fileno()
            for name, start, _, size, end in walk(lambda offset, count: os.pread(descriptor, count, offset)):
                new_key, extension = split_name(name)
                if not new_key:
                    continue
                if new_key != key or extension in extensions:
                    key, extensions = new_key, []
                    samples.append([start, end, extensions])
                extensions.append(extension)
                samples[-1][1] = end
                digest.update(f"{name}\0{size}\0".encode())
    except OSError as error:
        raise UserError(f"cannot read the tar: {error.strerror}", where=path, remedy="check the path") from error
    except TarDamage as damage:
        raise _damaged(path, damage) from damage
    if not samples:
        raise UserError("the tar holds no samples", where=path, remedy="its members must be named KEY.EXTENSION")
    return _as_arrays(path, samples, digest.hexdigest())


def _damaged(path: str, damage: TarDamage) -> UserError:
    size = os.path.getsize(path)
    if damage.offset == 0:
        what = "the tar is empty (0 bytes)" if size == 0 else "this is not a tar (compressed tars must be unpacked)"
        return UserError(what, where=path, remedy="write the shard again or leave it out of the pattern")
    return UserError(
        f"damaged tar: {damage.reason}",
        where=f"{path}, byte {damage.offset} of {size}",
        remedy="copy or write the shard again (it may have been half-written), or leave it out of the pattern",
    )


def _as_arrays(path, samples, digest) -> ShardIndex:
    layouts: dict[str, int] = {}
    numbers = [layouts.setdefault("/".join(extensions), len(layouts)) for *_, extensions in samples]
    spans = np.array([(start, end - start) for start, end, _ in samples], np.uint64)
    if len(layouts) > MOST_LAYOUTS or spans[:, 1].max() >= 2**32:
        raise UserError(
            f"{len(layouts)} different sets of member names, largest sample {spans[:, 1].max()} bytes",
            where=path,
            remedy="a key ends at the first dot of the file name: rename members that have further dots",
        )
    names = np.array(list(layouts))
    return ShardIndex(spans[:, 0].copy(), spans[:, 1].astype("u4"), np.array(numbers, "u2"), names, digest)


def load_index(path: str) -> ShardIndex:
    """The cached index of a tar if it still fits the tar's size and date, else a new one, cached."""
    stamp = _stamp(path)
    index = _cached(path, stamp)
    if index is None:
        index = build_index(path)
        _save(path, index, stamp)
    return index


def load_indexes(paths: list[str]) -> list[ShardIndex]:
    """`load_index` of each; where many are to be built, further processes build them into the cache first."""
    found = {path: _cached(path, _stamp(path)) for path in paths}
    missing = [path for path, index in found.items() if index is None]
    builders = min(len(missing) // SHARDS_PER_BUILDER, os.cpu_count() or 1)
    if builders > 1:
        # Not multiprocessing: its children would run the user's main script again.
        command = [sys.executable, "-m", "mmjax.data.index"]
        running = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(builders)]
        for number, process in enumerate(running):
            process.stdin.write("\n".join(missing[number::builders]))
            process.stdin.close()
        for process in running:
            process.wait()
    return [found[path] or load_index(path) for path in paths]


def _stamp(path: str) -> np.ndarray:
    try:
        status = os.stat(path)
    except OSError as error:
        raise UserError(f"no such tar: {error.strerror}", where=path, remedy="check the path") from error
    return np.array([FORMAT, status.st_size, status.st_mtime_ns], np.int64)


def _places(path: str) -> list[Path]:
    """Beside the shard, or for folders that cannot be written in the home cache, one file for each absolute path."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:32]
    return [Path(path + SUFFIX), root / "mmjax" / (name + SUFFIX)]


def _cached(path: str, stamp: np.ndarray) -> ShardIndex | None:
    """The saved index if there is a whole one for just this size and date."""
    for place in _places(path):
        with contextlib.suppress(*UNUSABLE), np.load(place, allow_pickle=False) as saved:
            if np.array_equal(saved["stamp"], stamp):
                fields = {name: saved[name] for name in ("starts", "sizes", "layouts", "names")}
                return ShardIndex(**fields, digest=str(saved["digest"]))
    return None


def _save(path: str, index: ShardIndex, stamp: np.ndarray):
    """To the first place that can be written; the index is rebuilt next time if none can."""
    for place in _places(path):
        draft = place.with_name(f"{place.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            with open(draft, "wb") as file:
                np.savez(file, stamp=stamp, **vars(index))
            os.replace(draft, place)
            return
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


if __name__ == "__main__":
    for line in sys.stdin:
        # The process that asked meets a bad shard again, and reports it.
        with contextlib.suppress(UserError):
            load_index(line.rstrip("\n"))
