"""Made-up modalities of one hidden cause: vectors that see the same latent through different maps, with noise."""

from functools import cached_property

import numpy as np

from mmjax.data.sources.made_up import MadeUp
from mmjax.data.sources.settings import choose, parse_settings, real_number, whole_number
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

DEFAULTS = {
    "split": "train",
    "count": "8192",
    "shared": "16",
    "widths": "64/48",
    "noise": "0.3",
    "map": "tanh",
    "classes": "0",
    "spread": "1",
    "sigma": "1",
    "shift": "0",
    "seed": "0",
}
SPLITS = ("train", "train_2", "validation", "test")
MAPS = ("tanh", "linear", "same")
MOST = 2**20


class LatentSource(MadeUp):
    """A random-access source: "latent:SPLIT,count=8192,shared=16,widths=64/48,noise=0.3,map=tanh,classes=0".

    Record i has a latent z (shared,) ~ N(0, 1), or, with `classes`, spread c_k + sigma N(0, 1) of a class k with the
    centre c_k ~ N(0, 1). Stream m, "vector", "vector_2", ..., of the m-th of `widths`, is tanh(z A_m) + noise_m e with
    e ~ N(0, 1) and A_m (shared, width_m) ~ N(0, 1 / shared). A map "linear" leaves tanh out; "same" is z itself. Every
    split has the same maps and centres, and samples of its own. `cls` is the class; `shift` moves every z that far
    along one fixed direction.

    Args:
        rest: the spec after its prefix: the split and settings; `noise` is one number, or one for each width.

    Raises:
        UserError: a setting that does not exist or cannot be.
    """

    def __init__(self, rest: str):
        spec = f"latent:{rest}"
        self.paths = [spec]
        self._settings = settings = parse_settings(rest, DEFAULTS, spec)
        self.split = choose("split", settings["split"], SPLITS, spec)
        self.map = choose("map", settings["map"], MAPS, spec)
        limits = {"count": (1, 2**30), "shared": (1, MOST), "classes": (0, MOST), "seed": (0, 2**32)}
        self.count, self.shared, self.classes, self.seed = (
            whole_number(name, settings[name], *limits[name], spec) for name in limits
        )
        self.spread, self.sigma, self.shift = (
            real_number(name, settings[name], spec) for name in ("spread", "sigma", "shift")
        )
        self.widths = [whole_number("widths", part, 1, MOST, spec) for part in settings["widths"].split("/")]
        noise = [real_number("noise", part, spec) for part in settings["noise"].split("/")]
        self.noise = noise * len(self.widths) if len(noise) == 1 else noise
        if len(self.noise) != len(self.widths):
            raise UserError(
                f"{len(noise)} noises for {len(self.widths)} widths", where=spec, remedy="give one for each"
            )
        if self.map == "same" and set(self.widths) != {self.shared}:
            raise UserError(
                "map=same has streams as wide as the latent", where=spec, remedy=f"widths={self.shared}/..."
            )
        self.streams = ("vector", *(f"vector_{n}" for n in range(2, len(self.widths) + 1)))
        self.nbytes = 4 * self.count * sum(self.widths)

    def __len__(self) -> int:
        return self.count

    @cached_property
    def _world(self):
        """(maps, class centres, direction of the shift), the same in every split."""
        rng = numpy_generator(self.seed, "latent/world")
        maps = [rng.normal(0, self.shared**-0.5, (self.shared, width)) for width in self.widths]
        direction = rng.normal(size=self.shared)
        return maps, rng.normal(size=(self.classes, self.shared)), direction / np.linalg.norm(direction)

    def __getitem__(self, i: int) -> dict:
        """The vectors (width,) float32 of sample `i` by stream, its fields, and its `__key__` and `__url__`."""
        maps, centres, direction = self._world
        rng = numpy_generator(self.seed, f"latent/{self.split}", i)
        raw, z = {"__key__": f"{self.split}-{i}", "__url__": self.paths[0]}, rng.normal(size=self.shared)
        if self.classes:
            cls = int(rng.integers(self.classes))
            raw["json"] = {"cls": cls}
            z = self.spread * centres[cls] + self.sigma * z
        z = z + self.shift * direction
        for stream, matrix, noise in zip(self.streams, maps, self.noise, strict=True):
            clean = z if self.map == "same" else z @ matrix
            clean = np.tanh(clean) if self.map == "tanh" else clean
            raw[stream] = (clean + noise * rng.normal(size=len(clean))).astype(np.float32)
        return raw

    def width(self, stream: str) -> int:
        """Entries of a stream's vectors; UserError for one that is not there."""
        if stream not in self.streams:
            raise UserError(f"no stream {stream!r}", where=self.paths[0], remedy=f"use {', '.join(self.streams)}")
        return self.widths[self.streams.index(stream)]

    def members(self, i: int) -> tuple[str, ...]:
        """The streams, and the fields where there are classes."""
        return ("json", *self.streams) if self.classes else self.streams

    def fingerprint(self) -> str:
        """All settings: they say all."""
        return "latent:" + ",".join(f"{name}={value}" for name, value in self._settings.items())
