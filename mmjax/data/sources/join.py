"""Two or more sources as one: the members of their samples side by side, by key or by row."""

import hashlib
from collections import Counter

from mmjax.errors import UserError


class JoinedSource:
    """Sample `i` of the first source with what the others have for it, for example pictures with text vectors.

    A source that has keys (`numpy:` with `keys.txt`) gives the sample of the same key, or nothing if it has none; any
    other source gives its own sample `i`, and must be as long as the first.

    Raises:
        UserError: the lengths differ, or two sources give a member of the same name.
    """

    def __init__(self, first, *others):
        self._first, self._others = first, others
        self.paths = [path for source in (first, *others) for path in source.paths]
        self.nbytes = sum(source.nbytes for source in (first, *others))
        for other in others:
            if not _has_keys(other) and len(other) != len(first):
                raise UserError(
                    f"{len(first)} samples joined row by row to {len(other)}",
                    where=f"{first.paths[0]} && {other.paths[0]}",
                    remedy="give both the same rows, or the arrays a keys.txt",
                )
        names = Counter(self.members(0))
        if repeated := [name for name, count in names.items() if count > 1]:
            what = f"both sources have a member {repeated[0]!r}"
            raise UserError(what, where=" && ".join(self.paths), remedy="rename the array or the file of one of them")

    def __len__(self) -> int:
        return len(self._first)

    def __getitem__(self, i: int) -> dict:
        """All members of sample `i`; its `__key__` and `__url__` are the first source's."""
        raw = self._first[i]
        for number, other in enumerate(self._others, 1):
            row = other.row_of(raw["__key__"]) if _has_keys(other) else i
            if row is not None:
                raw |= {new: value for name, value in other[row].items() if (new := _renamed(name, number)) not in raw}
        return raw

    def members(self, i: int) -> tuple[str, ...]:
        """The most that sample `i` can have: whether a source has its key is known only once it is read."""
        found = list(self._first.members(i))
        for number, other in enumerate(self._others, 1):
            found += [_renamed(name, number) for name in other.members(0 if _has_keys(other) else i)]
        return tuple(found)

    def url(self, i: int) -> str:
        """Where sample `i` of the first source lies."""
        return self._first.url(i)

    def width(self, stream: str) -> int:
        """Entries of a stream's vectors, of the source that has it; UserError if none has."""
        owner = next((other for other in self._others if stream in other.members(0)), self._first)
        return owner.width(stream)

    def member_counts(self) -> dict[str, int]:
        """How many samples can have which members."""
        return dict(Counter(", ".join(self.members(i)) for i in range(len(self))))

    def fingerprint(self) -> str:
        """16 hexadecimal digits over those of the sources."""
        parts = " ".join(source.fingerprint() for source in (self._first, *self._others))
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _has_keys(source) -> bool:
    return getattr(source, "has_keys", False)


def _renamed(name, number):
    """Each source may have text fields; captions take them from every member that ends in `.json`."""
    return f"{number}.json" if name == "json" else name
