"""A source whose pairs are partly wrong: for training that must bear noise."""

import hashlib
from functools import cached_property

import numpy as np

from mmjax.data.sources.settings import parse_settings, real_number, whole_number
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

DEFAULTS = {"share": "0.4", "members": "json", "seed": "0"}
OF = ",of="


class MismatchedSource:
    """Another source with members of some samples exchanged: "mismatched:share=0.4,members=json,of=SPEC".

    Members, joined by "+", go around among the chosen samples, so that each of those has another sample's, and every
    value stays in the data as often as before. Which are chosen depends on `seed` alone.

    Attributes:
        matched: (N,) bool, whether a sample has its own members.

    Args:
        rest: the spec after its prefix; what follows "of=" is the other source's.

    Raises:
        UserError: a setting that does not exist or cannot be, no other source, or a member that it has not.
    """

    def __init__(self, rest: str):
        from mmjax.data.sources import open_source

        settings, found, other = rest.partition(OF)
        self._spec = f"mismatched:{rest}"
        if not found:
            raise UserError("mismatched without a source", where=self._spec, remedy="end with of=SPEC")
        settings = parse_settings(settings, DEFAULTS, self._spec)
        self._share = real_number("share", settings["share"], self._spec)
        if self._share > 1:
            raise UserError(f"share={settings['share']}", where=self._spec, remedy="give a share from 0 to 1")
        self._seed = whole_number("seed", settings["seed"], 0, 2**32, self._spec)
        self._source, self._members = open_source(other), settings["members"].split("+")
        self.paths, self.nbytes = self._source.paths, self._source.nbytes
        missing = [name for name in self._members if name not in self._source.members(0)]
        if missing:
            remedy = f"its samples have {', '.join(self._source.members(0))}"
            raise UserError(f"{other} has no member {missing[0]!r}", where=self._spec, remedy=remedy)

    @cached_property
    def _giver(self) -> np.ndarray:
        """(N,) the sample that each one's members are of."""
        givers = np.arange(len(self._source))
        count = round(self._share * len(givers))
        chosen = numpy_generator(self._seed, "mismatched").permutation(len(givers))[: count if count > 1 else 0]
        givers[chosen] = np.roll(chosen, 1)
        return givers

    @property
    def matched(self) -> np.ndarray:
        """(N,) bool, whether a sample has its own members."""
        return self._giver == np.arange(len(self._giver))

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, i: int) -> dict:
        """Sample `i` with the members of the one that gives them."""
        raw, giver = dict(self._source[i]), int(self._giver[i])
        if giver != i:
            other = self._source[giver]
            raw = {name: value for name, value in raw.items() if name not in self._members}
            raw |= {name: other[name] for name in self._members if name in other}
        return raw

    def members(self, i: int) -> tuple[str, ...]:
        """Those of the other source's sample, the exchanged ones where the sample that gives them has them."""
        own, given = self._source.members(i), self._source.members(int(self._giver[i]))
        kept = [name for name in own if name not in self._members or name in given]
        return (*kept, *(name for name in self._members if name in given and name not in own))

    def url(self, i: int) -> str:
        """Where the other source's sample lies."""
        return self._source.url(i)

    def width(self, stream: str) -> int:
        """Entries of a stream's vectors."""
        return self._source.width(stream)

    def member_counts(self) -> dict[str, int]:
        """Those of the other source."""
        return self._source.member_counts()

    def fingerprint(self) -> str:
        """16 hexadecimal digits over the settings and the other source's."""
        said = f"{self._spec.partition(OF)[0]} {self._source.fingerprint()}"
        return hashlib.sha256(said.encode()).hexdigest()[:16]
