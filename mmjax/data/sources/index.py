"""Where each sample lies in its tar: worked out once by walking the headers, and cached."""

import contextlib
import hashlib
import os
import subprocess
import sys

import numpy as np

from mmjax.data.sources.files import Files, Stamp, is_remote, stamp
from mmjax.data.sources.index_cache import Arrays, cached, cached_all, load
from mmjax.data.sources.sharded import FileIndex, Layouts
from mmjax.data.sources.tarfiles import TarDamage, walk
from mmjax.errors import UserError

FORM = "tar 2"
SHARDS_PER_BUILDER = 8
# What is fetched at once while walking a remote tar: small members are streamed, large ones skipped.
WINDOW = 2**22
PICKLES = ("pickle", "pkl", "pyd", "pth", "pt")


def split_name(name: str) -> tuple[str, str]:
    """(key, extension): folder and basename up to the first dot, and what follows it; ("", "") if there is no dot."""
    name = name.removeprefix("./")
    slash = name.rfind("/") + 1
    dot = name.find(".", slash)
    return (name[:dot], name[dot + 1 :].lower()) if slash < dot < len(name) - 1 else ("", "")


def build_index(path: str, now: Stamp) -> Arrays:
    """Walks the headers of one tar. Samples are runs of members with one key.

    Raises:
        UserError: unreadable, empty, cut-off or not a tar, or with a member that is a pickle or leaves its folder.
    """
    samples, digest = [], hashlib.sha256()
    key, extensions = "", []
    try:
        for name, start, _, size, end in walk(_reader(path, now.size)):
            new_key, extension = split_name(name)
            if not new_key:
                continue
            _check_member(path, name, extension)
            if new_key != key or extension in extensions:
                key, extensions = new_key, []
                samples.append([start, end, extensions])
            extensions.append(extension)
            samples[-1][1] = end
            digest.update(f"{name}\0{size}\0".encode())
    except OSError as error:
        what = f"cannot read the tar: {error.strerror or error}"
        raise UserError(what, where=path, remedy="check the path") from error
    except TarDamage as damage:
        raise _damaged(path, now.size, damage) from damage
    if not samples:
        raise UserError("the tar holds no samples", where=path, remedy="its members must be named KEY.EXTENSION")
    return _as_arrays(path, samples, digest.hexdigest())


def _reader(path: str, size: int):
    """`read(offset, count)` for `walk`, of an address by whole windows."""
    files = Files()
    if not is_remote(path):
        return lambda offset, count: files.read(path, offset, count)
    window, first = b"", 0

    def read(offset, count):
        nonlocal window, first
        if not first <= offset <= offset + count <= first + len(window):
            wanted = min(max(count, WINDOW), size - offset)
            window, first = files.read(path, offset, wanted) if wanted > 0 else b"", offset
        return window[offset - first : offset - first + count]

    return read


def _check_member(path: str, name: str, extension: str) -> None:
    if name.startswith("/") or ".." in name.split("/"):
        what = f"the member {name!r} leaves the archive's folder"
        raise UserError(what, where=path, remedy="do not trust this tar; write it again with plain names")
    if extension.split(".")[-1] in PICKLES:
        what = f"the member {name!r} is a pickle, which may run any program when it is loaded"
        raise UserError(
            what, where=path, remedy="write the shard again without it; arrays go into .npy, records in .json"
        )


def _damaged(path: str, size: int, damage: TarDamage) -> UserError:
    if damage.offset == 0:
        what = "the tar is empty (0 bytes)" if size == 0 else "this is not a tar (compressed tars must be unpacked)"
        return UserError(what, where=path, remedy="write the shard again or leave it out of the pattern")
    return UserError(
        f"damaged tar: {damage.reason}",
        where=f"{path}, byte {damage.offset} of {size}",
        remedy="copy or write the shard again (it may have been half-written), or leave it out of the pattern",
    )


def _as_arrays(path, samples, digest) -> Arrays:
    layouts = Layouts()
    for *_, extensions in samples:
        layouts.add(extensions)
    spans = np.array([(start, end - start) for start, end, _ in samples], np.uint64)
    if spans[:, 1].max() >= 2**32:
        what = f"a sample of {spans[:, 1].max()} bytes"
        raise UserError(what, where=path, remedy="samples of 4 GiB and more cannot be read at once: split them")
    where = {"starts": spans[:, 0].copy(), "sizes": spans[:, 1].astype("u4")}
    return where | layouts.arrays(path) | {"digest": np.array(digest)}


def load_index(path: str) -> FileIndex:
    """The cached index of a tar if it still fits the tar's size and date, else a new one, cached."""
    return FileIndex.of(cached(path, FORM, build_index))


def load_indexes(paths: list[str]) -> list[FileIndex]:
    """`load_index` of each; where many are to be built, further processes build them into the cache first."""
    if any(map(is_remote, paths)):
        return [FileIndex.of(arrays) for arrays in cached_all(paths, FORM, build_index)]
    found = {path: load(path, FORM, stamp(path)) for path in paths}
    _build_in_processes([path for path, arrays in found.items() if arrays is None])
    return [load_index(path) if found[path] is None else FileIndex.of(found.pop(path)) for path in paths]


def _build_in_processes(paths: list[str]) -> None:
    builders = min(len(paths) // SHARDS_PER_BUILDER, os.cpu_count() or 1)
    if builders < 2:
        return
    # Not multiprocessing: its children would run the user's main script again.
    command = [sys.executable, "-m", "mmjax.data.sources.index"]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(builders)]
    for number, process in enumerate(running):
        process.stdin.write("\n".join(paths[number::builders]))
        process.stdin.close()
    for process in running:
        process.wait()


if __name__ == "__main__":
    for line in sys.stdin:
        # The process that asked meets a bad shard again, and reports it.
        with contextlib.suppress(UserError):
            load_index(line.rstrip("\n"))
