"""What is in a made-up scene: coloured shapes, where they are, how they move, and the captions that say so.

Some combinations are kept for tests. A shape n is never trained in colour n, nor along axis n mod 3, in either
direction: since both ways of an axis are held out together, a shape never tells which way it moves.
"""

from dataclasses import dataclass

import numpy as np

SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross", "ring", "heart")
COLOURS = {
    "red": (215, 35, 35),
    "orange": (245, 140, 20),
    "yellow": (235, 215, 30),
    "green": (35, 150, 55),
    "cyan": (30, 190, 200),
    "blue": (35, 65, 215),
    "purple": (140, 45, 175),
    "black": (25, 25, 25),
}
SIZES = {"small": 0.1, "large": 0.17}  # radius as a share of the picture's side
PLACES = {"top": 0.25, "": 0.5, "bottom": 0.75}, {"left": 0.25, "": 0.5, "right": 0.75}
JITTER = 0.05
COLOUR_JITTER = 20
AXES = (("left", "right"), ("up", "down"), ("clockwise", "anticlockwise"))
REVERSE = {one: other for pair in AXES for one, other in (pair, pair[::-1])}
# Of the first thing against the second: (row, column) of each as a share of the side.
RELATIONS = {
    "left of": ((0.5, 0.25), (0.5, 0.75)),
    "right of": ((0.5, 0.75), (0.5, 0.25)),
    "above": ((0.25, 0.5), (0.75, 0.5)),
    "below": ((0.75, 0.5), (0.25, 0.5)),
}
SPLITS = ("train", "test", "compositions", "motions")


@dataclass(frozen=True)
class Thing:
    """One coloured shape.

    Attributes:
        shape, colour, size: names.
        rgb: what it is painted with, its colour slightly changed.
        row, column: its middle, as shares of the picture's side.
    """

    shape: str
    colour: str
    size: str
    rgb: tuple[int, int, int]
    row: float
    column: float

    @property
    def name(self) -> str:
        """For example "a small red star"."""
        return f"{'an' if self.size[0] in 'aeiou' else 'a'} {self.size} {self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """One thing that moves, or two that do not.

    Attributes:
        things: one or two.
        words: what captions are made of: the names of everything that was drawn, and whole captions.
        grey: brightness of the background.
        motion: a name in REVERSE; "" for two things.
    """

    things: tuple[Thing, ...]
    words: dict[str, str]
    grey: int
    motion: str


def draw_scene(rng: np.random.Generator, split: str, things: int) -> Scene:
    """A scene of a split: "train"; "test", fresh ones of the same kind; "compositions", things in colours that no such
    shape was trained in; "motions", along axes that no such shape was trained along.

    Args:
        rng: the generator of this scene.
        split: a name in SPLITS.
        things: 1 or 2. Two differ in shape and in colour.
    """
    shapes = rng.choice(len(SHAPES), things, replace=False)
    colours = _draw_colours(rng, shapes, held_out=split == "compositions")
    grey = int(rng.integers(200, 256))
    if things == 2:
        relation = str(rng.choice(list(RELATIONS)))
        drawn = tuple(_thing(rng, *pair) for pair in zip(shapes, colours, RELATIONS[relation], strict=True))
        return Scene(drawn, _two_words(drawn, relation), grey, "")
    (row, down), (column, across) = (list(names.items())[rng.integers(3)] for names in PLACES)
    thing = _thing(rng, shapes[0], colours[0], (down, across))
    axis = int(shapes[0]) % 3 if split == "motions" else (int(shapes[0]) + int(rng.integers(1, 3))) % 3
    motion = AXES[axis][rng.integers(2)]
    words = _one_words(thing, f"{row} {column}".strip() or "middle", motion)
    return Scene((thing,), words, grey, motion)


def _draw_colours(rng, shapes, held_out):
    """The colours of the same numbers as the shapes, or distinct others."""
    if held_out:
        return shapes
    while True:
        colours = rng.choice(len(COLOURS), len(shapes), replace=False)
        if (colours != shapes).all():
            return colours


def _thing(rng, shape, colour, middle) -> Thing:
    row, column = np.array(middle) + rng.uniform(-JITTER, JITTER, 2)
    name = list(COLOURS)[colour]
    rgb = np.array(COLOURS[name]) + rng.integers(-COLOUR_JITTER, COLOUR_JITTER + 1, 3)
    size = str(rng.choice(list(SIZES)))
    return Thing(SHAPES[shape], name, size, tuple(rgb.clip(0, 255).tolist()), float(row), float(column))


def _one_words(thing, place, motion) -> dict[str, str]:
    return {
        "caption": f"{thing.name} at the {place}",
        "moving": f"{thing.name} moving {motion}",
        "reversed": f"{thing.name} moving {REVERSE[motion]}",
        "shape": thing.shape,
        "colour": thing.colour,
        "size": thing.size,
        "place": place,
        "motion": motion,
        "reverse": REVERSE[motion],
    }


def _two_words(things, relation) -> dict[str, str]:
    first, second = things
    return {
        "caption": f"{first.name} {relation} {second.name}",
        "swapped": f"{second.name} {relation} {first.name}",
        "shape": first.shape,
        "colour": first.colour,
        "size": first.size,
        "shape_2": second.shape,
        "colour_2": second.colour,
        "size_2": second.size,
        "relation": relation,
    }
