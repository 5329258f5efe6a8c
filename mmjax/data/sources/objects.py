"""Made-up scenes of named things, as a series of patches and captions that name some: what token matching is for."""

import json
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from mmjax.data.sources.made_up import MadeUp
from mmjax.data.sources.settings import choose, parse_settings, real_number, whole_number
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

DEFAULTS = {
    "split": "train",
    "count": "6000",
    "words": "40",
    "patches": "6",
    "things": "1",
    "named": "3",
    "noise": "0.3",
    "width": "32",
    "seed": "0",
}
SPLITS = ("train", "validation", "test")
EMOJI_TOKENIZER = Path(__file__).parents[1] / "emoji" / "tokenizer.json"


@cache
def single_words() -> tuple[str, ...]:
    """Words of three letters and more that the shipped tokenizer keeps in one piece, in the order of its vocabulary."""
    vocabulary = json.loads(EMOJI_TOKENIZER.read_text("utf-8"))["model"]["vocab"]
    pieces = (piece[1:] for piece in sorted(vocabulary, key=vocabulary.get) if piece.startswith("Ġ"))
    return tuple(word for word in pieces if len(word) >= 3 and word.isalpha() and word.isascii())


class ObjectsSource(MadeUp):
    """A random-access source: "objects:SPLIT,count=6000,words=40,patches=6,things=1,named=3,noise=0.3,width=32".

    Record i is a scene: `patches` that show `things` each, all different and drawn from `words`. Member "series"
    (patches, width) float32 holds for each patch the sum of its things' vectors, of unit norm, and noise, in an order
    of its own. Fields for captions: `{caption}`, the words of `named` patches; `{sentences}`, a sentence for each
    patch; `{last}`, the words of the last sentence, of which a caption cut short says nothing. Every split has the
    same vectors and scenes of its own. Words are single tokens of the tokenizer "emoji".

    Args:
        rest: the spec after its prefix: the split and settings.

    Raises:
        UserError: a setting that does not exist or cannot be.
    """

    def __init__(self, rest: str):
        spec = f"objects:{rest}"
        self.paths = [spec]
        self._settings = settings = parse_settings(rest, DEFAULTS, spec)
        self.split = choose("split", settings["split"], SPLITS, spec)
        limits = {
            "count": (1, 2**30),
            "words": (1, len(single_words())),
            "patches": (1, 1024),
            "things": (1, 64),
            "named": (1, 1024),
            "width": (1, 4096),
            "seed": (0, 2**32),
        }
        self.count, self.words, self.patches, self.things, self.named, self.size, self.seed = (
            whole_number(name, settings[name], *limits[name], spec) for name in limits
        )
        self.noise = real_number("noise", settings["noise"], spec)
        if self.named > self.patches or self.patches * self.things > self.words:
            what = f"{self.named} named of {self.patches} patches of {self.things} things, of {self.words} words"
            raise UserError(what, where=spec, remedy="name at most all patches, and give more words than things")
        self.nbytes = 4 * self.count * self.patches * self.size

    def __len__(self) -> int:
        return self.count

    @cached_property
    def _vectors(self) -> np.ndarray:
        """(words, width), the look of every thing, of unit norm."""
        vectors = numpy_generator(self.seed, "objects/vectors").normal(size=(self.words, self.size))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def scene(self, i: int) -> np.ndarray:
        """(patches, things) numbers of the words in sample `i`."""
        rng = numpy_generator(self.seed, f"objects/{self.split}", i)
        return rng.permutation(self.words)[: self.patches * self.things].reshape(self.patches, self.things)

    def __getitem__(self, i: int) -> dict:
        """The patches and the words of sample `i`, and its `__key__` and `__url__`."""
        scene, rng = self.scene(i), numpy_generator(self.seed, f"objects/{self.split}/noise", i)
        patches = self._vectors[scene].sum(1)
        patches /= np.linalg.norm(patches, axis=1, keepdims=True)
        patches += self.noise * self.size**-0.5 * rng.normal(size=patches.shape)
        # Else a tower could learn which patches are named by where they are.
        patches = rng.permutation(patches)
        sentences = [" ".join(single_words()[number] for number in patch) for patch in scene]
        return {
            "__key__": f"{self.split}-{i}",
            "__url__": self.paths[0],
            "series": patches.astype(np.float32),
            "json": {
                "caption": " ".join(sentences[: self.named]),
                "sentences": " ".join(f"{sentence}." for sentence in sentences),
                "last": sentences[-1],
            },
        }

    def members(self, i: int) -> tuple[str, ...]:
        """All samples have the same."""
        return ("json", "series")

    def width(self, stream: str) -> int:
        """Always a UserError: there are no vectors."""
        remedy = "use the streams series and text"
        raise UserError(f"no vectors for the stream {stream!r}", where=self.paths[0], remedy=remedy)

    def fingerprint(self) -> str:
        """All settings: they say all."""
        return "objects:" + ",".join(f"{name}={value}" for name, value in self._settings.items())
