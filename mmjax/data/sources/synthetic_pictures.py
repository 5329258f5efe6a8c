"""Scenes as pictures and clips: shapes painted with soft edges, and a whole picture shifted from frame to frame.

The clip of a motion is that of its reverse played backwards: the same frames, of which nothing but the order tells the
two apart. What leaves the picture on one side comes in on the other.
"""

import functools
import math

import numpy as np

from mmjax.data.sources.synthetic_scenes import REVERSE, SIZES, Scene

FINE = 4  # samples a pixel along each axis
TRAVEL = 0.4  # length of a straight path and width of a circle, as a share of the side
BACKWARDS = ("left", "up", "anticlockwise")


def paint(scene: Scene, side: int) -> np.ndarray:
    """The picture of a scene, (side, side, 3) uint8."""
    canvas = np.full((side, side, 3), scene.grey, np.uint8)
    for thing in scene.things:
        cover = coverage(thing.shape, radius_of(thing, side))
        top, left = (int(middle * side) - len(cover) // 2 for middle in (thing.row, thing.column))
        part = canvas[top : top + len(cover), left : left + len(cover)]
        part[...] = np.rint(part + cover[..., None] * (np.array(thing.rgb) - scene.grey))
    return canvas


def film(scene: Scene, picture: np.ndarray, frames: int) -> np.ndarray:
    """The clip (frames, side, side, 3) uint8 of a scene of one thing, whose `picture` shows the middle of its path."""
    return np.stack([np.roll(picture, shift, (0, 1)) for shift in path(scene.motion, frames, picture.shape[0])])


def path(motion: str, frames: int, side: int) -> list[tuple[int, int]]:
    """(rows, columns) in pixels by which each frame is shifted; those of the reverse motion, the last first.

    Args:
        motion: such as "left" or "clockwise"; a circle begins at its top.
        frames: at least 2.
        side: of the picture in pixels.
    """
    if motion in BACKWARDS:
        return path(REVERSE[motion], frames, side)[::-1]
    reach = TRAVEL / 2 * side
    if motion == "clockwise":
        turns = (np.arange(frames) + 0.5) / frames * 2 * np.pi
        return [(round(-reach * math.cos(turn)), round(reach * math.sin(turn))) for turn in turns]
    steps = [round(step) for step in np.linspace(-reach, reach, frames)]
    return [(step, 0) if motion == "down" else (0, step) for step in steps]


def boxes(scene: Scene, side: int) -> list[list[float]]:
    """Of each thing (left, top, right, bottom) in the picture, as shares of its side."""
    spans = []
    for thing in scene.things:
        radius = radius_of(thing, side)
        edges = [int(middle * side) + reach for reach in (-radius, radius + 1) for middle in (thing.column, thing.row)]
        spans.append([edge / side for edge in edges])
    return spans


def radius_of(thing, side: int) -> int:
    """In pixels, to which a thing reaches from the pixel in its middle."""
    return max(1, round(SIZES[thing.size] * side))


@functools.cache
def coverage(shape: str, radius: int) -> np.ndarray:
    """The share of every pixel that a shape covers, (2 radius + 1,) * 2 float32."""
    pixels = 2 * radius + 1
    ticks = (np.arange(pixels * FINE) + 0.5) / (pixels * FINE) * 2 - 1
    inside = INSIDE[shape](ticks[None, :], ticks[:, None])
    return inside.reshape(pixels, FINE, pixels, FINE).mean((1, 3), dtype=np.float32)


def _star(x, y):
    """Five points: the radius of a regular star polygon at each angle from the upper one."""
    angle = np.mod(np.arctan2(x, -y), 2 * np.pi / 5)
    inner, half = 0.45, np.pi / 5
    from_point = np.abs(np.minimum(angle, 2 * half - angle))
    return np.hypot(x, y) <= inner * np.sin(half) / (inner * np.sin(half - from_point) + np.sin(from_point))


# On [-1, 1]^2, x to the right and y down.
INSIDE = {
    "circle": lambda x, y: np.hypot(x, y) <= 0.95,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) <= 0.8,
    "triangle": lambda x, y: (y <= 0.8) & (abs(x) <= (y + 0.9) / 1.8),
    "diamond": lambda x, y: 1.5 * abs(x) + abs(y) <= 1,
    "star": _star,
    "cross": lambda x, y: np.minimum(abs(x), abs(y)) <= 0.3,
    "ring": lambda x, y: abs(np.hypot(x, y) - 0.7) <= 0.25,
    "heart": lambda x, y: (1.3 * x) ** 2 + (1.2 * y - 0.15 + 0.8 * np.sqrt(abs(x))) ** 2 <= 1,
}
