"""One row of a training batch: which picture and which caption of a sample, and how the picture is changed."""

import functools

import numpy as np

from mmjax.data.augment import Crop, build_augments
from mmjax.data.captions import draw_caption
from mmjax.data.images import RESIZE, decode
from mmjax.data.samples import Samples
from mmjax.data.streams import is_dropped, may_be_missing, modality, stream_options
from mmjax.data.unreadable import Lacking
from mmjax.rng import numpy_generator


class ExampleReader:
    """`reader(step, record) -> {stream: (S,S,3) uint8, caption or (F,) float32}`, None where the sample lacks it.

    Draws are keyed by (seed, stream, step, record).

    Args:
        source: a random-access source.
        data: `config.data`.
        streams: "image", "text", "vector" and further views of them such as "image_2".
        seed: the run's seed.
    """

    def __init__(self, source, data, streams, seed: int):
        self.images, self.texts, self.vectors = (
            [stream for stream in streams if modality(stream) == kind] for kind in ("image", "text", "vector")
        )
        self.options = {stream: stream_options(data, stream) for stream in streams}
        self.optional = [stream for stream in streams if may_be_missing(data, stream)]
        self._sharing = [stream for stream in self.images if not self.options[stream].image_keys]
        self.seed, self.size = seed, data.image_size
        self.augments = build_augments(data.augment)
        self.templates, self.languages = list(data.captions), list(data.languages)
        cropped = any(isinstance(augment, Crop) for augment in self.augments)
        prepare = decode if cropped else functools.partial(decode_resized, resize=data.resize, size=self.size)
        self.samples = Samples(source, prepare, data.image_keys)

    def __call__(self, step: int, record: int) -> dict[str, np.ndarray | str | None]:
        members, row = self._members(step, record), {}
        for stream in (*self.images, *self.texts, *self.vectors):
            row[stream] = None
            if is_dropped(self.options[stream].missing, self.seed, stream, record):
                continue
            try:
                row[stream] = self._read(stream, members, step, record)
            except Lacking:
                if stream not in self.optional:
                    raise
        return row

    def _read(self, stream, members, step, record):
        """What a stream takes from a record; Lacking if there is no such thing in it."""
        sample = self.samples[record]
        if stream in self.vectors:
            return sample.vector(stream)
        if stream in self.texts:
            options, rng = self.options[stream], numpy_generator(self.seed, f"data/{stream}", step, record)
            templates, languages = options.captions or self.templates, options.languages or self.languages
            return draw_caption(sample.fields(), templates, languages, rng)
        if members[stream] is None:
            raise Lacking("no picture in the sample", ", ".join(self.samples.source.members(record)))
        return self._view(stream, sample.picture(members[stream]), step, record)

    def _members(self, step, record) -> dict[str, str | None]:
        """One member for each image stream: its own where it names some, else different ones while there are enough."""
        found = dict.fromkeys(self.images)
        members = self._shuffled(self.samples.pictures(record), "data/member", step, record) if self._sharing else []
        for view, stream in enumerate(self._sharing if members else ()):
            found[stream] = members[view % len(members)]
        for stream in self.images:
            if keys := self.options[stream].image_keys:
                own = self._shuffled(self.samples.pictures(record, keys), f"data/{stream}/member", step, record)
                found[stream] = own[0] if own else None
        return found

    def _shuffled(self, members, purpose, step, record) -> list[str]:
        if len(members) < 2:
            return members
        return [members[i] for i in numpy_generator(self.seed, purpose, step, record).permutation(len(members))]

    def _view(self, stream, picture, step, record) -> np.ndarray:
        if self.augments:
            rng = numpy_generator(self.seed, f"data/{stream}", step, record)
            for augment in self.augments:
                picture = augment(picture, rng, self.size)
        return np.asarray(picture)


def decode_resized(data: bytes, *, resize: str, size: int):
    """The picture of `size` x `size` that evaluation sees; `resize` is a name in `images.RESIZE`."""
    return RESIZE[resize](decode(data), size)
