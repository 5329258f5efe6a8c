"""A source by its spec: random access, `len(source)` and `source[i]` -> dict of raw members."""

from typing import Protocol

from mmjax.data.tars import TarSource
from mmjax.errors import UserError


class Source(Protocol):
    """What the data pipeline asks of a source.

    Attributes:
        paths: where it lies, for the reader of a summary.
        nbytes: what all samples take; a source of more than the cache holds is not kept in memory.
    """

    paths: list[str]
    nbytes: int

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> dict:
        """The members of sample `i`, bytes by extension or arrays by stream, and its `__key__` and `__url__`."""

    def members(self, i: int) -> tuple[str, ...]:
        """The names of sample `i`'s members, without reading it."""

    def url(self, i: int) -> str:
        """Where sample `i` lies."""

    def width(self, stream: str) -> int:
        """Entries of the vectors of a stream; UserError where it gives none."""

    def member_counts(self) -> dict[str, int]:
        """How many samples have which members."""

    def fingerprint(self) -> str:
        """What a resumed run must find unchanged."""


def open_source(spec: str) -> Source:
    """The source that `config.data.source` names.

    Args:
        spec: "emoji:SPLIT" for the data that ships with the package, "xor:SETTINGS" for Symile's experiment (see
            `XorSource`), or a pattern of tars (see `TarSource`).

    Raises:
        UserError: none of these, or no such data.
    """
    if spec.startswith("emoji:"):
        from mmjax.data import emoji

        return TarSource(str(emoji.shard(spec.removeprefix("emoji:"))))
    if spec.startswith("xor:"):
        from mmjax.data.xor_source import XorSource

        return XorSource(spec.removeprefix("xor:"))
    if ".tar" not in spec:
        raise UserError(
            f"unknown source {spec!r}",
            where="config.data.source",
            remedy='use "emoji:train", "xor:dims=5" or a pattern of tars such as "data/{0000..0009}.tar"',
        )
    return TarSource(spec)
