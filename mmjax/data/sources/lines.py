"""The lines of a file or of a piece of one, each with the byte at which it begins and its number."""

import io
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mmjax.errors import UserError

# Far beyond any row of a table, so that a file without line breaks does not fill the memory.
LONGEST = 2**24


class Line(NamedTuple):
    """One line: its first byte in the file, its number from 1, and its bytes with the line break."""

    start: int
    number: int
    data: bytes


def split_lines(blocks: Iterable[bytes], start: int = 0, number: int = 1) -> Iterator[Line]:
    """The lines of a file that comes in blocks, of which the first byte is at `start` in line `number`.

    Raises:
        UserError: a line of more than LONGEST bytes.
    """
    rest = b""
    for block in blocks:
        *whole, rest = [*io.BytesIO(rest + block)] or [b""]
        if rest.endswith(b"\n"):
            whole, rest = [*whole, rest], b""
        for data in whole:
            yield Line(start, number, data)
            start, number = start + len(data), number + 1
        if len(rest) > LONGEST:
            raise UserError(f"line {number} has more than {LONGEST} bytes", remedy="is this a table?")
    if rest:
        yield Line(start, number, rest)
