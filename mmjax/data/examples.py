"""One row of a training batch: which picture and which caption of a sample, and how the picture is changed."""

import functools

import numpy as np

from mmjax.data.augment import Crop, build_augments
from mmjax.data.captions import draw_caption
from mmjax.data.images import RESIZE, decode
from mmjax.data.samples import Samples
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError
from mmjax.rng import numpy_generator

MODALITIES = ("image", "text")


def modality(stream: str) -> str:
    """ "image" of "image" and "image_2"; UserError for a stream that this data cannot fill."""
    kind = stream.split("_")[0]
    if kind not in MODALITIES:
        raise UserError(f"unknown stream {stream!r}", where="config.streams", remedy="use image, text, image_2, text_2")
    return kind


class ExampleReader:
    """`reader(step, record) -> {stream: (S,S,3) uint8 or caption}`; draws are keyed by (seed, stream, step, record).

    Args:
        source: a random-access source.
        data: `config.data`.
        streams: "image", "text" and further views of them such as "image_2".
        seed: the run's seed.
    """

    def __init__(self, source, data, streams, seed: int):
        self.images = [stream for stream in streams if modality(stream) == "image"]
        self.texts = [stream for stream in streams if modality(stream) == "text"]
        self.seed, self.size = seed, data.image_size
        self.augments = build_augments(data.augment)
        self.templates, self.languages = list(data.captions), list(data.languages)
        cropped = any(isinstance(augment, Crop) for augment in self.augments)
        prepare = decode if cropped else functools.partial(decode_resized, resize=data.resize, size=self.size)
        self.samples = Samples(source, prepare, data.image_keys)

    def __call__(self, step: int, record: int) -> dict[str, np.ndarray | str]:
        sample = self.samples[record]
        row = {}
        for stream, member in zip(self.images, self._members(step, record), strict=True):
            row[stream] = self._view(stream, sample.picture(member), step, record)
        for stream in self.texts:
            rng = numpy_generator(self.seed, f"data/{stream}", step, record)
            row[stream] = draw_caption(sample.fields(), self.templates, self.languages, rng)
        return row

    def _members(self, step, record) -> list[str]:
        """One member for each image stream, different ones while there are enough."""
        if not self.images:
            return []
        members = self.samples.pictures(record)
        if not members:
            raise Unreadable("no picture in the sample", ", ".join(self.samples.source.members(record)))
        if len(members) > 1:
            order = numpy_generator(self.seed, "data/member", step, record).permutation(len(members))
            members = [members[i] for i in order]
        return [members[view % len(members)] for view in range(len(self.images))]

    def _view(self, stream, picture, step, record) -> np.ndarray:
        if self.augments:
            rng = numpy_generator(self.seed, f"data/{stream}", step, record)
            for augment in self.augments:
                picture = augment(picture, rng, self.size)
        return np.asarray(picture)


def decode_resized(data: bytes, *, resize: str, size: int):
    """The picture of `size` x `size` that evaluation sees; `resize` is a name in `images.RESIZE`."""
    return RESIZE[resize](decode(data), size)
