"""Vectors made of several hidden factors, some loud and some faint: what a contrastive model learns, and what not."""

from functools import cached_property

import numpy as np

from mmjax.data.sources.made_up import MadeUp
from mmjax.data.sources.settings import choose, parse_settings, real_number, whole_number
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

DEFAULTS = {
    "split": "train",
    "count": "8192",
    "values": "10/10",
    "strengths": "2/0.7",
    "width": "40",
    "noise": "0.5",
    "seed": "0",
}
SPLITS = ("train", "validation", "test")
MOST = 2**20


class FactorsSource(MadeUp):
    """A random-access source: "factors:SPLIT,count=8192,values=10/10,strengths=2/0.7,width=40,noise=0.5,seed=0".

    Record i has a value v_f of each factor f, of `values` even ones, and two streams: x = sum_f strength_f E_f[v_f] +
    noise e, the entries of E_f and e being N(0, 1), and in "vector_2" the same with a noise of its own, turned by an
    orthogonal matrix. Every split has the same E_f and matrix, and samples of its own. The values are the fields
    `factor_1`, `factor_2`, ...

    Args:
        rest: the spec after its prefix: the split and settings.

    Raises:
        UserError: a setting that does not exist or cannot be.
    """

    streams = ("vector", "vector_2")

    def __init__(self, rest: str):
        spec = f"factors:{rest}"
        self.paths = [spec]
        self._settings = settings = parse_settings(rest, DEFAULTS, spec)
        self.split = choose("split", settings["split"], SPLITS, spec)
        limits = {"count": (1, 2**30), "width": (1, 4096), "seed": (0, 2**32)}
        self.count, self._width, self.seed = (
            whole_number(name, settings[name], *limits[name], spec) for name in limits
        )
        self.values = [whole_number("values", part, 1, MOST, spec) for part in settings["values"].split("/")]
        self.strengths = [real_number("strengths", part, spec) for part in settings["strengths"].split("/")]
        self.noise = real_number("noise", settings["noise"], spec)
        if len(self.values) != len(self.strengths):
            said = f"{len(self.strengths)} strengths for {len(self.values)} factors"
            raise UserError(said, where=spec, remedy="give one for each")
        self.nbytes = 2 * 4 * self.count * self._width

    def __len__(self) -> int:
        return self.count

    @cached_property
    def _world(self):
        """(vectors of each factor's values, the turn), the same in every split."""
        rng = numpy_generator(self.seed, "factors/world")
        vectors = [s * rng.normal(size=(n, self._width)) for n, s in zip(self.values, self.strengths, strict=True)]
        return vectors, np.linalg.qr(rng.normal(size=(self._width, self._width)))[0]

    def __getitem__(self, i: int) -> dict:
        """The two vectors (width,) float32 of sample `i`, its fields, and its `__key__` and `__url__`."""
        vectors, turn = self._world
        rng = numpy_generator(self.seed, f"factors/{self.split}", i)
        drawn = [int(rng.integers(n)) for n in self.values]
        clean = sum(table[value] for table, value in zip(vectors, drawn, strict=True))
        one, other = clean + self.noise * rng.normal(size=(2, self._width))
        fields = {f"factor_{n}": value for n, value in enumerate(drawn, 1)}
        made = {"json": fields, "vector": one.astype(np.float32), "vector_2": (other @ turn).astype(np.float32)}
        return {"__key__": f"{self.split}-{i}", "__url__": self.paths[0]} | made

    def width(self, stream: str) -> int:
        """Entries of a stream's vectors; UserError for one that is not there."""
        if stream not in self.streams:
            raise UserError(f"no stream {stream!r}", where=self.paths[0], remedy=f"use {', '.join(self.streams)}")
        return self._width

    def members(self, i: int) -> tuple[str, ...]:
        """The fields and the two streams."""
        return ("json", *self.streams)

    def fingerprint(self) -> str:
        """All settings: they say all."""
        return "factors:" + ",".join(f"{name}={value}" for name, value in self._settings.items())
