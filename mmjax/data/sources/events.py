"""Made-up sounds of two events one after the other, and captions that say which came first: as vectors."""

from functools import cached_property

import numpy as np

from mmjax.data.sources.made_up import MadeUp
from mmjax.data.sources.settings import choose, parse_settings, real_number, whole_number
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

DEFAULTS = {
    "split": "train",
    "count": "8192",
    "events": "60",
    "width": "64",
    "order": "0.35",
    "said": "0.35",
    "noise": "0.4",
    "sorted": "0",
    "seed": "0",
}
SPLITS = ("train", "test")
STREAMS = ("vector", "vector_2", "vector_3", "vector_4")


class EventsSource(MadeUp):
    """A random-access source: "events:SPLIT,count=8192,events=60,width=64,order=0.35,said=0.35,noise=0.4,sorted=0".

    Record i is of two different events a, b. With a sound vector S_k and a word vector w_k for each event and a fixed
    rotation R of sounds and Q of words, everything (width,):

        vector     the sound of a, then b: S_a + S_b + order R S_a + noise e
        vector_2   the caption "a, then b": w_a + w_b + said Q w_a
        vector_3   the caption "b, then a"
        vector_4   the sound of b, then a, with noise of its own

    Bags of events with a weak cue of the order, as pooled embeddings are: told apart by what, hardly by when. `sorted`
    is the share of the samples in which the event of the smaller number comes first; the others come in either order.
    Every split has the same vectors. The toy world in which CompA's hard negatives (Ghosh et al. 2023, arXiv
    2310.08753) are tested.

    Args:
        rest: the spec after its prefix: the split and settings.

    Raises:
        UserError: a setting that does not exist or cannot be.
    """

    def __init__(self, rest: str):
        spec = f"events:{rest}"
        self.paths = [spec]
        self._settings = settings = parse_settings(rest, DEFAULTS, spec)
        self.split = choose("split", settings["split"], SPLITS, spec)
        limits = {"count": (1, 2**30), "events": (2, 2**20), "size": (1, 2**20), "seed": (0, 2**32)}
        self.count, self.events, self.size, self.seed = (
            whole_number(name, settings["width" if name == "size" else name], *limits[name], spec) for name in limits
        )
        self.order, self.said, self.noise, self.sorted = (
            real_number(name, settings[name], spec) for name in ("order", "said", "noise", "sorted")
        )
        if self.sorted > 1:
            raise UserError(f"sorted={self.sorted} is no share", where=spec, remedy="give 0 to 1")
        self.nbytes = 4 * self.count * self.size * len(STREAMS)

    def __len__(self) -> int:
        return self.count

    @cached_property
    def _world(self):
        """(sounds, words, R, Q): (events, width) each, and the rotations (width, width)."""
        rng = numpy_generator(self.seed, "events/world")
        vectors = rng.normal(0, self.size**-0.5, (2, self.events, self.size))
        return *vectors, *np.linalg.qr(rng.normal(size=(2, self.size, self.size)))[0]

    def __getitem__(self, i: int) -> dict:
        """The vectors (width,) float32 of sample `i` by stream, its fields, and its `__key__` and `__url__`."""
        sounds, words, rotation, said = self._world
        rng = numpy_generator(self.seed, f"events/{self.split}", i)
        first, second = (int(k) for k in rng.choice(self.events, 2, replace=False))
        if rng.random() < self.sorted:
            first, second = sorted((first, second))
        noise = self.noise * self.size**-0.5 * rng.normal(size=(2, self.size))

        def mixed(vectors, a, b, turn, strength):
            return vectors[a] + vectors[b] + strength * vectors[a] @ turn

        made = (
            mixed(sounds, first, second, rotation, self.order) + noise[0],
            mixed(words, first, second, said, self.said),
            mixed(words, second, first, said, self.said),
            mixed(sounds, second, first, rotation, self.order) + noise[1],
        )
        raw = {"__key__": f"{self.split}-{i}", "__url__": self.paths[0], "json": {"first": first, "second": second}}
        return raw | {stream: vector.astype(np.float32) for stream, vector in zip(STREAMS, made, strict=True)}

    def width(self, stream: str) -> int:
        """Entries of a stream's vectors; UserError for one that is not there."""
        if stream not in STREAMS:
            raise UserError(f"no stream {stream!r}", where=self.paths[0], remedy=f"use {', '.join(STREAMS)}")
        return self.size

    def members(self, i: int) -> tuple[str, ...]:
        """All samples have the same."""
        return ("json", *STREAMS)

    def fingerprint(self) -> str:
        """All settings: they say all."""
        return "events:" + ",".join(f"{name}={value}" for name, value in self._settings.items())
