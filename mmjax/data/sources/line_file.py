"""Single lines of a text file, found by an index of 8 bytes a line."""

import hashlib
from array import array

import numpy as np

from mmjax.data.sources.files import Files, Stamp, read_blocks
from mmjax.data.sources.index_cache import Arrays, cached
from mmjax.data.sources.lines import split_lines
from mmjax.errors import UserError


class LineFile:
    """The lines of a UTF-8 file, by number from 0.

    Raises:
        UserError: it cannot be read or is not UTF-8.
    """

    def __init__(self, path: str):
        arrays = cached(path, "lines 1", _build)
        self.path, self.digest, self._starts = path, str(arrays["digest"]), arrays["starts"]

    def __len__(self) -> int:
        return len(self._starts) - 1

    def line(self, files: Files, i: int) -> str:
        """Line `i` without its line break; OSError if the file has gone or changed."""
        start, end = self._starts[i : i + 2].tolist()
        try:
            return files.read(self.path, start, end - start).decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise OSError(f"{self.path} has changed since it was indexed") from error


def _build(path: str, now: Stamp) -> Arrays:
    starts, digest = array("Q"), hashlib.sha256()
    try:
        for line in split_lines(read_blocks(path, now.size)):
            line.data.decode()
            starts.append(line.start)
            digest.update(line.data)
    except OSError as error:
        raise UserError(f"cannot read the lines: {error}", where=path, remedy="check the path") from error
    except UnicodeDecodeError as error:
        where = f"{path}, line {len(starts) + 1}"
        raise UserError(f"not UTF-8: {error}", where=where, remedy="save it as UTF-8") from error
    return {"starts": np.array([*starts, now.size], "u8"), "digest": np.array(digest.hexdigest())}
