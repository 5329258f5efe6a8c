"""What a training batch looks like, known from the config alone."""

import numpy as np

from mmjax.data.examples import modality


def batch_shapes(data, streams, batch_size: int) -> dict[str, tuple[tuple[int, ...], type]]:
    """Name -> (shape, dtype) of every array of a global batch.

    Args:
        data: `config.data`.
        streams: names such as ("image", "text").
        batch_size: rows of the global batch, B.
    """
    shapes = {"id": ((batch_size,), np.int32)}
    for stream in streams:
        if modality(stream) == "image":
            shapes[stream] = ((batch_size, data.image_size, data.image_size, 3), np.uint8)
        else:
            shapes[stream] = ((batch_size, data.context), np.int32)
            shapes[f"{stream}_mask"] = ((batch_size, data.context), np.bool_)
    return shapes
