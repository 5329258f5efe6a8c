"""Symile's experiment as a source of samples: bits of which any two modalities tell nothing about a third."""

import numpy as np

from mmjax.data.sources.xor import xor_vectors
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

# Nobody trains through 2^30 samples, so that every one of a run is fresh.
SPLITS = {"train": 2**30, "test": 5000}


class XorSource:
    """A random-access source of `xor_vectors`: record i holds the streams "vector", "vector_2", ...

    Args:
        spec: "modalities=3,dims=5,p=1,split=train", where these are the defaults; "test" has samples of its own.

    Raises:
        UserError: a setting that does not exist or cannot be.
    """

    def __init__(self, spec: str):
        self.paths = [f"xor:{spec}"]
        settings = {"modalities": "3", "dims": "5", "p": "1", "split": "train"}
        for part in filter(None, spec.split(",")):
            name, _, value = part.partition("=")
            if name not in settings:
                raise self._mistake(f"no setting {name!r}", f"use {', '.join(settings)}")
            settings[name] = value
        try:
            self.modalities, self.dims = int(settings["modalities"]), int(settings["dims"])
            self.p, self.split = float(settings["p"]), settings["split"]
        except ValueError as error:
            raise self._mistake(str(error), "write numbers, such as modalities=3,dims=5,p=0.5") from error
        if self.modalities < 3 or self.dims < 1 or not 0 <= self.p <= 1:
            raise self._mistake(f"cannot make {spec!r}", "give at least 3 modalities, 1 dimension, and p from 0 to 1")
        if self.split not in SPLITS:
            raise self._mistake(f"no split {self.split!r}", f"use one of {', '.join(SPLITS)}")
        self.streams = ("vector", *(f"vector_{n}" for n in range(2, self.modalities + 1)))
        self.nbytes = len(self) * self.modalities * self.dims * 4

    def _mistake(self, what, remedy):
        return UserError(what, where=self.paths[0], remedy=remedy)

    def __len__(self) -> int:
        return SPLITS[self.split]

    def __getitem__(self, i: int) -> dict:
        """The vectors (dims,) float32 of sample `i` by stream, and its `__key__` and `__url__`."""
        rng = numpy_generator(0, f"xor/{self.split}", i)
        vectors = [v[0] for v in xor_vectors(rng, 1, self.modalities, self.dims, self.p)]
        return {"__key__": str(i), "__url__": self.paths[0]} | dict(zip(self.streams, vectors, strict=True))

    def width(self, stream: str) -> int:
        """Entries of a stream's vectors; UserError for one that is not there."""
        if stream not in self.streams:
            raise UserError(f"no stream {stream!r}", where=self.paths[0], remedy=f"use {', '.join(self.streams)}")
        return self.dims

    def members(self, i: int) -> tuple[str, ...]:
        """The streams of sample `i`."""
        return self.streams

    def url(self, i: int) -> str:
        """The spec."""
        return self.paths[0]

    def member_counts(self) -> dict[str, int]:
        """All samples have the same."""
        return {", ".join(self.streams): len(self)}

    def fingerprint(self) -> str:
        """The spec: it says all."""
        return self.paths[0]


def every_vector(dims: int) -> np.ndarray:
    """All (2^dims, dims) float32 vectors of zeros and ones; row n holds the binary digits of n, the highest first."""
    return (np.arange(2**dims)[:, None] >> np.arange(dims)[::-1] & 1).astype(np.float32)
