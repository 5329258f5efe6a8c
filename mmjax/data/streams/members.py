"""Streams whose values are decoded from one member of a sample, chosen by the ending of its name."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, NamedTuple

from mmjax.data.streams.base import Draws, Stream
from mmjax.data.unreadable import Lacking


class MemberRow(NamedTuple):
    """One member of a source: the record it belongs to, and its name."""

    record: int
    member: str


@dataclass(frozen=True)
class MemberStream(Stream):
    """A kind with an option `<kind>_keys`: endings of the members to draw from; without it, `data.<kind>_keys`.

    Streams of a kind that name no endings share what there is: they take different members while there are enough.
    """

    # The endings where neither names any.
    usual: ClassVar[tuple[str, ...]]
    # The purpose of the draw among shared members, one for each kind.
    drawn_by: ClassVar[str]

    @property
    def own_keys(self) -> tuple:
        """The endings of its entry."""
        return getattr(self, f"{self.kind}_keys")

    @property
    def common_keys(self) -> tuple:
        """The endings of streams whose entry names none."""
        return getattr(self.data, f"{self.kind}_keys") or self.usual

    def members(self, names) -> list[str]:
        """Those of a sample's members that it takes."""
        return ending_in(names, self._endings)

    @cached_property
    def _endings(self) -> tuple[str, ...]:
        return endings(self.own_keys or self.common_keys)

    def drawn_member(self, sample, draws: Draws) -> str:
        """One of a sample's members; Lacking if it has none."""
        members = self.members(sample.members)
        if not members:
            raise Lacking(f"no {self.noun} in the sample", ", ".join(sample.members))
        if self.own_keys:
            return draws.shuffled(members, f"{self.name}/member")[0]
        return draws.shuffled(members, self.drawn_by)[self.slot.view % len(members)]

    def rows(self, samples, record) -> list[MemberRow]:
        """A row for each member, found in the index without reading the data."""
        return [MemberRow(record, member) for member in self.members(samples.members(record))]

    def narrowed(self, *, keys=(), **_):
        """With other endings, if any are given."""
        return replace(self, **{f"{self.kind}_keys": tuple(keys)}) if keys else self


def endings(keys) -> tuple[str, ...]:
    """What `ending_in` looks for: "ogg" stands for "ogg" and "desc.fr.ogg", "=ogg" for "ogg" alone."""
    return tuple(f"=.{key[1:]}" if key.startswith("=") else f".{key}" for key in keys)


def ending_in(names, endings: tuple[str, ...]) -> list[str]:
    """Those of `names` that have one of `endings`."""
    return [name for name in names if f"=.{name}".endswith(endings)]
