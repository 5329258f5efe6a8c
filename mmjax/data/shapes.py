"""What a training batch looks like, known from the config alone."""

import numpy as np

from mmjax.data.sources import open_source
from mmjax.data.streams import may_be_missing, modality


def batch_shapes(data, streams, batch_size: int) -> dict[str, tuple[tuple[int, ...], type]]:
    """Name -> (shape, dtype) of every array of a global batch.

    Args:
        data: `config.data`.
        streams: names such as ("image", "text").
        batch_size: rows of the global batch, B.

    Raises:
        UserError: a stream that the data cannot fill.
    """
    shapes = {"id": ((batch_size,), np.int32)}
    for stream in streams:
        match modality(stream):
            case "image":
                shapes[stream] = ((batch_size, data.image_size, data.image_size, 3), np.uint8)
            case "text":
                shapes[stream] = ((batch_size, data.context), np.int32)
                shapes[f"{stream}_mask"] = ((batch_size, data.context), np.bool_)
            case "vector":
                shapes[stream] = ((batch_size, open_source(data.source).width(stream)), np.float32)
        if may_be_missing(data, stream):
            shapes[f"{stream}_present"] = ((batch_size,), np.bool_)
    return shapes
