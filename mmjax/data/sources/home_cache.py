"""Files worked out once that have no place beside the data."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def home_cache() -> Path:
    """`$XDG_CACHE_HOME/mmjax`, or `~/.cache/mmjax`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmjax"


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Makes a file by `write(file)`, and its folder; others find it whole or not at all. OSError if it cannot be."""
    # Not named by process number: in containers that share a folder these are often the same.
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(draft, "wb") as file:
            write(file)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
