"""Reading the headers of tar archives: ustar, GNU long names and PAX, from any function that reads bytes.

Format: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format". Python's `tarfile` knows more
kinds of archive, but takes four times as long for each member.
"""

from collections.abc import Callable, Iterator

BLOCK = 512
REGULAR = (b"0", b"\0", b"7")
LONGEST_EXTENSION = 2**20
LARGEST_MEMBER = 2**50


class TarDamage(Exception):
    """What is wrong with an archive (`reason`) and at which byte (`offset`)."""

    def __init__(self, reason: str, offset: int):
        super().__init__(reason, offset)
        self.reason, self.offset = reason, offset


def walk(read: Callable[[int, int], bytes], end: float = float("inf")) -> Iterator[tuple[str, int, int, int, int]]:
    """Yields (name, start, data, size, next) of every regular file: byte offsets, `start` before its long-name headers.

    Args:
        read: `read(offset, count)` gives the bytes there, fewer at the end.
        end: stop at this offset; infinity means at the archive's closing zero block, whose absence is damage.

    Raises:
        TarDamage: no tar header where one must be, or the archive is cut off.
    """
    start = offset = 0
    extended: dict[str, str] = {}
    while offset < end:
        block = read(offset, BLOCK)
        if len(block) < BLOCK:
            raise TarDamage("the archive is cut off: no closing block of zeros", offset)
        if not block[0] and not any(block):
            return
        kind, size = block[156:157], _size(block, extended, offset)
        data = offset + BLOCK
        offset = data + -(-size // BLOCK) * BLOCK
        if kind in (b"x", b"L"):
            if size > LONGEST_EXTENSION:
                raise TarDamage("an extension header of improbable length", data - BLOCK)
            extended |= _extension(kind, read(data, size))
            continue
        if kind == b"g":
            continue
        if kind in REGULAR:
            name = extended.get("path") or _name(block)
            if not name.endswith("/"):
                yield name, start, data, size, offset
        start, extended = offset, {}


def _size(block: bytes, extended: dict[str, str], offset: int) -> int:
    if block[257:262] != b"ustar" and not _checksum_holds(block):
        raise TarDamage("no tar header here", offset)
    try:
        if "size" in extended:
            size = int(extended["size"])
        elif block[124] & 0x80:  # GNU's binary sizes, for members of 8 GiB and more
            size = int.from_bytes(block[125:136], "big")
        else:
            size = int(block[124:136].strip(b" \0") or b"0", 8)
    except ValueError:
        size = -1
    if not 0 <= size <= LARGEST_MEMBER:
        raise TarDamage("a tar header with an impossible size", offset)
    return size


def _checksum_holds(block: bytes) -> bool:
    """Old archives carry no magic word; their header's sum (its own field read as blanks) must match."""
    field = block[148:156].strip(b" \0")
    return field.isdigit() and int(field, 8) == sum(block) - sum(block[148:156]) + 8 * 0x20


def _name(block: bytes) -> str:
    name = block[:100].split(b"\0", 1)[0]
    if block[345] and block[257:263] == b"ustar\0":
        name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    return name.decode("utf-8", "replace")


def _extension(kind: bytes, data: bytes) -> dict[str, str]:
    """The path and size that an extension header gives to the member after it."""
    if kind == b"L":
        return {"path": data.split(b"\0", 1)[0].decode("utf-8", "replace")}
    found = {}
    while data:
        length, _, record = data.partition(b" ")
        if not length.isdigit() or int(length) <= len(length):
            break
        keyword, _, value = record[: int(length) - len(length) - 1].partition(b"=")
        if keyword in (b"path", b"size"):
            found[keyword.decode()] = value.rstrip(b"\n").decode("utf-8", "replace")
        data = data[int(length) :]
    return found
