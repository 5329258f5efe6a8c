"""Which frames of a video make a clip: pure functions of (count, frames, rng)."""

import numpy as np

from mmjax.errors import UserError

# How much faster the fast pathway's frames follow one another (Feichtenhofer et al. 2019, arXiv 1812.03982).
ALPHA = 8
CVRL_STRIDE = 2


def frame_indices(count: int, frames: int, how: str, rng: np.random.Generator | None = None) -> np.ndarray:
    """Indices of `frames` frames of a video of `count`, (frames,) int64, never falling; a short video repeats some.

    `how` is one of
        "uniform": the middles of `frames` equal segments; nothing is drawn;
        "random": one frame drawn from each segment (TSN, Wang et al. 2016, arXiv 1608.00859);
        "slow": frames as far apart as they can be, beginning anywhere;
        "fast": frames that follow one another ALPHA times as fast as those of "slow", beginning anywhere;
        "clip" or "clip:N": every second or every N-th frame, beginning anywhere, closer where the video is shorter.
    Two streams of "clip" are CVRL's pair: starts drawn alone from T places are a distance t apart with density
    2 (1 - t/T) / T, and the first is uniform in what t leaves, which is its law (Qian et al. 2021, arXiv 2008.03800).

    Args:
        count: frames of the video, at least 1.
        frames: frames of the clip, F.
        how: the law.
        rng: the generator of this row; "uniform" needs none.

    Raises:
        UserError: there is no such law.
    """
    law, _, number = how.partition(":")
    if law not in LAWS or (number and (law != "clip" or not number.isdecimal() or int(number) < 1)):
        raise UserError(
            f"unknown choice of frames {how!r}", remedy=f"use one of {', '.join(LAWS)}, or clip:4 for every fourth"
        )
    return LAWS[law](count, frames, rng, int(number or CVRL_STRIDE))


def _uniform(count, frames, rng, stride):
    return (2 * np.arange(frames) + 1) * count // (2 * frames)


def _random(count, frames, rng, stride):
    return ((np.arange(frames) + rng.random(frames)) * count / frames).astype(np.int64)


def _slow(count, frames, rng, stride):
    return _window(count, frames, rng, count // frames)


def _fast(count, frames, rng, stride):
    return _window(count, frames, rng, max(1, count // frames // ALPHA))


def _window(count, frames, rng, stride):
    """Frames `stride` apart, or as far as fits, from a uniform start; all frames in turn if there are too few."""
    stride = min(stride, (count - 1) // max(frames - 1, 1))
    if stride < 1:
        return _uniform(count, frames, rng, stride)
    return rng.integers(count - stride * (frames - 1)) + stride * np.arange(frames)


LAWS = {"uniform": _uniform, "random": _random, "slow": _slow, "fast": _fast, "clip": _window}
