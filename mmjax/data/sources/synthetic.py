"""Made-up scenes of coloured shapes with exact captions, as pictures, sounds and clips; nothing is stored."""

import io

import numpy as np
from PIL import Image

from mmjax.data.sources.made_up import MadeUp
from mmjax.data.sources.settings import choose, parse_settings, whole_number
from mmjax.data.sources.synthetic_pictures import boxes, film, paint
from mmjax.data.sources.synthetic_scenes import SPLITS, Scene, draw_scene
from mmjax.data.sources.synthetic_sounds import play
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

# Everything here is drawn from (seed, split, number), so that the splits share no scene.
DEFAULTS = {
    "split": "train",
    "count": "10000",
    "things": "1",
    "members": "png",
    "side": "64",
    "frames": "8",
    "seed": "0",
}
MEMBERS = ("png", "wav", "npy")
LONGEST = 2**30


class SyntheticSource(MadeUp):
    """A random-access source of scenes: "synthetic:SPLIT,count=10000,members=png+wav+npy".

    Record i holds `json` with the words of captions (`{caption}`, `{moving}`, `{shape}`, `{colour}`, ... and, for
    evaluations, `{reversed}` and `{swapped}`; see `synthetic_scenes`) and the `boxes` of its things, and of
    `members` those asked for: `png`, the picture; `wav`, its sound (`synthetic_sounds`); `npy`, a clip
    (frames, side, side, 3) uint8 of one thing that moves, the picture being the middle of its path.

    Splits: train; test, fresh scenes of the same kind; compositions, shapes in colours they were not trained in;
    motions, shapes that move along an axis they were not trained to move along.

    Args:
        rest: the spec after its prefix: the split and settings `count` of records, `things` in a scene (1 or 2),
            `members`, `side` in pixels, `frames` of a clip, and `seed`.

    Raises:
        UserError: a setting that does not exist or cannot be.
    """

    def __init__(self, rest: str):
        spec = f"synthetic:{rest}"
        self.paths = [spec]
        settings = parse_settings(rest, DEFAULTS, spec)
        self.split = choose("split", settings["split"], SPLITS, spec)
        self.made = tuple(choose("member", name, MEMBERS, spec) for name in settings["members"].split("+"))
        limits = {"count": (1, LONGEST), "things": (1, 2), "side": (16, 1024), "frames": (2, 1024), "seed": (0, 2**32)}
        self.count, self.things, self.side, self.frames, self.seed = (
            whole_number(name, settings[name], *limits[name], spec) for name in limits
        )
        if self.things == 2 and ("npy" in self.made or self.split == "motions"):
            raise UserError("scenes of two things do not move", where=spec, remedy="leave out things=2, or the clips")
        self._settings = settings
        self.nbytes = self.count * sum(len(data) for data in self[0].values())

    def __len__(self) -> int:
        return self.count

    def scene(self, i: int) -> Scene:
        """What is in sample `i`."""
        return draw_scene(numpy_generator(self.seed, f"synthetic/{self.split}", i), self.split, self.things)

    def __getitem__(self, i: int) -> dict:
        """The members of sample `i`, and its `__key__` and `__url__`."""
        scene = self.scene(i)
        raw = {"__key__": f"{self.split}-{i}", "__url__": self.paths[0]}
        raw["json"] = scene.words | {"boxes": boxes(scene, self.side)}
        picture = paint(scene, self.side) if self.made != ("wav",) else None
        for member in self.made:
            raw[member] = self._make(member, scene, picture)
        return raw

    def _make(self, member, scene, picture) -> bytes:
        if member == "wav":
            return play(scene)
        file = io.BytesIO()
        if member == "png":
            Image.fromarray(picture).save(file, "PNG", compress_level=1)
        else:
            np.save(file, film(scene, picture, self.frames), allow_pickle=False)
        return file.getvalue()

    def members(self, i: int) -> tuple[str, ...]:
        """All samples have the same."""
        return ("json", *self.made)

    def width(self, stream: str) -> int:
        """Always a UserError: there are no vectors."""
        remedy = "use image, text, audio and video streams"
        raise UserError(f"no vectors for the stream {stream!r}", where=self.paths[0], remedy=remedy)

    def fingerprint(self) -> str:
        """All settings: they say all."""
        return "synthetic:" + ",".join(f"{name}={value}" for name, value in self._settings.items())
