"""Arrays worked out once from a file, kept beside it or in the home cache while its size and date stay the same."""

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mmjax.data.sources.files import Stamp, is_remote, stamp
from mmjax.data.sources.home_cache import home_cache, write_whole

SUFFIX = ".mmjax-index.npz"
# Stores answer slowly, but many at a time.
REMOTE_THREADS = 16
UNUSABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)

Arrays = dict[str, np.ndarray]


def cached(path: str, form: str, build: Callable[[str, Stamp], Arrays]) -> Arrays:
    """The saved arrays of a file if they are of this form and fit its stamp, else `build(path, stamp)`, saved.

    Args:
        path: path or address.
        form: name and version of the layout, for example "tar 2"; another one makes what was saved void.
        build: gives the arrays.
    """
    now = stamp(path)
    arrays = load(path, form, now)
    if arrays is None:
        arrays = build(path, now)
        save(path, form, now, arrays)
    return arrays


def cached_all(paths: list[str], form: str, build: Callable[[str, Stamp], Arrays]) -> list[Arrays]:
    """`cached` of each path, of many addresses at a time."""
    with ThreadPoolExecutor(REMOTE_THREADS if any(map(is_remote, paths)) else 1) as pool:
        return list(pool.map(lambda path: cached(path, form, build), paths))


def load(path: str, form: str, now: Stamp) -> Arrays | None:
    """The saved arrays if there is a whole set of just this form and stamp."""
    for place in _places(path):
        with contextlib.suppress(*UNUSABLE), np.load(place, allow_pickle=False) as saved:
            if str(saved["stamp"]) == _text(form, now):
                return {name: saved[name] for name in saved.files if name != "stamp"}
    return None


def save(path: str, form: str, now: Stamp, arrays: Arrays) -> None:
    """To the first place that can be written; the arrays are worked out again next time if none can."""
    for place in _places(path):
        with contextlib.suppress(OSError):
            write_whole(place, lambda file: np.savez(file, stamp=_text(form, now), **arrays))
            return


def _text(form: str, now: Stamp) -> str:
    return f"{form} / {now.size} / {now.date}"


def _places(path: str) -> list[Path]:
    """Beside a local file, or for closed folders and addresses in the home cache, one file for each of them."""
    whole = path if is_remote(path) else os.path.abspath(path)
    home = home_cache() / (hashlib.sha256(whole.encode()).hexdigest()[:32] + SUFFIX)
    return [home] if is_remote(path) else [Path(path + SUFFIX), home]
