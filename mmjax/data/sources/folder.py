"""Pictures, recordings or clips in class folders as a source; files of one name in one folder are one sample."""

import hashlib
import json
import os
from array import array
from collections.abc import Iterator
from itertools import groupby

import numpy as np

from mmjax.data.sources.files import Stamp, read_file
from mmjax.data.sources.index_cache import Arrays, load, save
from mmjax.data.sources.media import MEDIA
from mmjax.data.sources.sharded import FileIndex, Layouts, ShardedSource
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

FORM = "folder 1"
SIDECARS = ("txt", "json")
# Not of the folder itself: its date is that of its own entries alone, so that those of all folders are compared.
UNSTAMPED = Stamp(0, "")


class FolderSource(ShardedSource):
    """CLASS/NAME.jpg, to any depth, with NAME.txt (a caption) and NAME.json (fields) beside it where there are.

    For captions, `{class}` is the folder's own name with blanks for underscores, `{folder}` its path from the root,
    `{name}` the file's name without ending, and `{txt}` the caption beside it, or else the class. Hidden files and
    folders, and links to folders, are left out. What is held in memory is 10 bytes a sample and its name.

    Args:
        path: the root folder.

    Raises:
        UserError: no such folder, or no media in it.
    """

    def __init__(self, path: str):
        path = os.path.abspath(os.path.expanduser(path))
        if not os.path.isdir(path):
            raise UserError(f"no such folder: {path}", where="config.data.source", remedy="check the path")
        arrays = load(path, FORM, UNSTAMPED)
        if arrays is None or not _is_fresh(path, arrays):
            arrays = build_index(path)
            save(path, FORM, UNSTAMPED, arrays)
        index = FileIndex.of(arrays)
        self._endings = index.members
        names = [(*(e.lower() for e in endings if e.lower() not in SIDECARS), "json") for endings in index.members]
        super().__init__([path], [FileIndex(index.layouts, names, index.digest, index.arrays)])
        self.nbytes = int(arrays["nbytes"])

    def _stem(self, i: int) -> str:
        """The path of sample `i` from the root, without ending."""
        _, row = self.place(i)
        where = self.indexes[0].arrays
        first, end = where["ends"][row : row + 2].tolist()
        return os.fsdecode(where["text"][first:end].tobytes())

    def url(self, i: int) -> str:
        """The path of sample `i`, without ending."""
        return os.path.join(self.paths[0], self._stem(i))

    def __getitem__(self, i: int) -> dict:
        """The files of sample `i` as bytes by ending, its fields under `json`, and its `__key__` and `__url__`.

        Raises:
            Unreadable: a file has gone or is too large, or NAME.json is no JSON object.
        """
        stem, url = self._stem(i), self.url(i)
        raw = {e.lower(): read_file(f"{url}.{e}") for e in self._endings[self.indexes[0].layouts[i]]}
        folder, name = os.path.split(stem)
        kind = os.path.basename(folder).replace("_", " ")
        fields = {"class": kind, "folder": folder, "name": name} | ({"txt": kind} if kind else {})
        try:
            fields |= json.loads(raw.get("json", b"{}"))
        except (ValueError, TypeError, RecursionError) as error:
            raise Unreadable("json member is no JSON object", f"{url}.json: {error}") from error
        return {"__key__": stem, "__url__": url} | raw | {"json": fields}


def build_index(path: str) -> Arrays:
    """The samples below a folder in the order of their names; UserError if there are none."""
    layouts, text, ends = Layouts(), bytearray(), array("Q", [0])
    folders, dates, nbytes, digest = [], array("q"), 0, hashlib.sha256()
    for folder, _, names in _walk(path):
        relative = os.path.relpath(folder, path).removeprefix(".")
        folders.append(os.fsencode(relative))
        dates.append(os.stat(folder).st_mtime_ns)
        for stem, endings in _samples(names):
            sizes = [os.stat(os.path.join(folder, f"{stem}.{ending}")).st_size for ending in endings]
            layouts.add(endings)
            text += os.fsencode(os.path.join(relative, stem))
            ends.append(len(text))
            nbytes += sum(sizes)
            digest.update(f"{os.path.join(relative, stem)}\0{endings}\0{sizes}\0".encode(errors="surrogateescape"))
    if len(ends) == 1:
        what = "no pictures, recordings or clips in this folder"
        raise UserError(what, where=path, remedy="put them into folders named by their class: CLASS/NAME.jpg")
    return layouts.arrays(path) | {
        "text": np.frombuffer(bytes(text), np.uint8),
        "ends": np.array(ends, "u8"),
        "folders": np.array(folders),
        "dates": np.array(dates, "i8"),
        "nbytes": np.array(nbytes),
        "digest": np.array(digest.hexdigest()),
    }


def _walk(path) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk` in the order of names, without what is hidden."""
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield folder, folders, sorted(name for name in names if not name.startswith("."))


def _samples(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    """(stem, endings) of each sample among the sorted file names of one folder; each has at least one medium."""
    parts = sorted(name.rpartition(".")[::2] for name in names if "." in name)
    for stem, group in groupby(parts, key=lambda part: part[0]):
        endings = {
            ending.lower(): ending for _, ending in group if ending.lower() in MEDIA or ending.lower() in SIDECARS
        }
        if endings.keys() & MEDIA:
            yield stem, sorted(endings.values())


def _is_fresh(path: str, arrays: Arrays) -> bool:
    """Whether no folder has got or lost an entry since it was indexed."""
    try:
        return all(
            os.stat(os.path.join(path, os.fsdecode(folder))).st_mtime_ns == date
            for folder, date in zip(arrays["folders"].tolist(), arrays["dates"].tolist(), strict=True)
        )
    except OSError:
        return False
