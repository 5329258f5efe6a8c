"""What a training batch looks like, known from the config alone."""

import numpy as np

from mmjax.data.streams import make_streams


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
    if data.label:
        shapes["label"] = ((batch_size,), np.int32)
    for stream in make_streams(data, streams):
        for ending, (shape, dtype) in stream.shapes().items():
            shapes[stream.name + ending] = ((batch_size, *shape), dtype)
        if stream.optional:
            shapes[f"{stream.name}_present"] = ((batch_size,), np.bool_)
    return shapes
