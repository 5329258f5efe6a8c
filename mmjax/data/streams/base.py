"""What every kind of stream says about itself: its arrays, its training rows, its evaluation rows, how it is shown."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mmjax.data.samples import Sample, Samples
from mmjax.data.unreadable import Unreadable
from mmjax.rng import numpy_generator

# Of the names of a stream's arrays.
ENDINGS = ("", "_mask")


class Slot(NamedTuple):
    """The place of a stream: its name, `config.data`, and its number among the streams that share members with it."""

    name: str
    data: Any
    view: int = 0


class Draws:
    """The random choices of one training row: `draws(purpose)` is a generator of its own for each purpose."""

    def __init__(self, seed: int, step: int, record: int):
        self._numbers = seed, step, record
        self._orders: dict[tuple[str, int], np.ndarray] = {}

    def __call__(self, purpose: str) -> np.random.Generator:
        seed, step, record = self._numbers
        return numpy_generator(seed, f"data/{purpose}", step, record)

    def shuffled(self, items: list, purpose: str) -> list:
        """The items in random order, drawn once for all streams that ask; of fewer than two nothing is drawn."""
        if len(items) < 2:
            return items
        key = purpose, len(items)
        if key not in self._orders:
            self._orders[key] = self(purpose).permutation(len(items))
        return [items[i] for i in self._orders[key]]


@dataclass(frozen=True)
class Stream:
    """One stream of a batch; a kind is a subclass, whose fields are the options of an entry in `config.data.streams`.

    A value is what a stream takes from a sample: of a kind's own type, made by `draw` and `read`, put into a batch by
    `write`.

    Attributes:
        slot: name and surroundings.
        missing: share of samples that count as lacking this stream in training, always the same ones.
    """

    slot: Slot
    missing: float = 0.0

    kind: ClassVar[str]
    noun: ClassVar[str]
    # What `lengths` counts, of kinds whose rows are of several lengths and come with a mask.
    unit: ClassVar[str] = ""
    # Whether evaluation rows hold their values, so that nothing is read after they were listed.
    in_memory: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The stream's name, such as "image_2"."""
        return self.slot.name

    @property
    def data(self):
        """`config.data`."""
        return self.slot.data

    @cached_property
    def optional(self) -> bool:
        """Whether a sample may lack it, and batches say which rows have it: it has an entry in `data.streams`."""
        return self.name in self.data.streams

    def check(self) -> None:
        """Raise `UserError` for options that cannot be."""

    def open(self) -> None:
        """Load what rows are made with, so that a mistake in it shows before the first of them."""

    def shapes(self) -> dict[str, tuple[tuple[int, ...], type]]:
        """Ending of the array's name ("", "_mask") -> (shape, dtype) of one row."""
        raise NotImplementedError

    def shapes_of(self, rows: list) -> dict[str, tuple[tuple[int, ...], type]]:
        """`shapes` of evaluation rows, whose source may be another one."""
        return self.shapes()

    def draw(self, sample: Sample, draws: Draws):
        """The value of a training row; Lacking if the sample has no such thing."""
        raise NotImplementedError

    def rows(self, samples: Samples, record: int) -> list:
        """The evaluation rows of a record, each with its `record`; Lacking or none if it has no such thing."""
        raise NotImplementedError

    def every_row(self, samples: Samples, record: int) -> list:
        """Rows for everything that training may draw from a record."""
        return self.rows(samples, record)

    def read(self, samples: Samples, row):
        """The value of an evaluation row, the same whenever it is read."""
        raise NotImplementedError

    def narrowed(self, *, keys=(), captions: str = "", fallback: str = "", language: str = "") -> "Stream":
        """This stream as an evaluation asks for it; what does not concern the kind changes nothing.

        Args:
            keys: endings of the members to take instead of its own.
            captions: caption template instead of its own ones.
            fallback: caption template where its entry names none.
            language: the one to take of several.
        """
        return self

    def arrays(self, value) -> dict[str, np.ndarray]:
        """A value as one row of each of `shapes`."""
        return {"": value}

    def write(self, batch: dict, places: Iterable[int], values: list) -> Iterator[tuple[int, Unreadable]]:
        """Put `values` into rows `places` of a batch's arrays, zeros for None.

        Yields:
            The number in `values` of each that does not fit, and why.
        """
        for number, (place, value) in enumerate(zip(places, values, strict=True)):
            if value is None:
                for ending in ENDINGS:
                    if (whole := batch.get(self.name + ending)) is not None:
                        whole[place] = 0
                continue
            for ending, array in self.arrays(value).items():
                whole = batch[self.name + ending]
                if array.shape != whole.shape[1:]:
                    yield number, Unreadable(f"{self.noun} has another shape", f"{array.shape}, not {whole.shape[1:]}")
                else:
                    whole[place] = array

    @property
    def note(self) -> str:
        """What else there is to know of it."""
        return ""

    def lengths(self, masks: np.ndarray) -> np.ndarray:
        """How long rows are by their masks (n, ...), in `unit`."""
        return masks.sum(1)

    def described(self, value) -> str:
        """A value in a few words; "" where a picture says it all."""
        return ""

    def caption(self, value) -> str:
        """What to write below the pictures of a sample; "" if nothing."""
        return ""

    def picture(self, value, side: int) -> np.ndarray | None:
        """A value as a picture (side, side, 3) uint8 for the contact sheet; None if there is nothing to see."""
        return None

    def html(self, value) -> str:
        """A value as a piece of a page that needs no other file."""
        raise NotImplementedError
