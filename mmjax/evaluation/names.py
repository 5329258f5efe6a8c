"""What metrics call the sides of an evaluation."""

from mmjax.data.streams import STREAMS


def side_names(streams) -> tuple[str, ...]:
    """("image", "text") for ("image", "text_2") and ("ema/image", "text_prediction"): modalities, as in CLIP's metrics.

    Where several sides are of one modality, or of none that the name tells, all have their whole names, "/" as "_".
    """
    kinds = tuple(stream.rpartition("/")[2].split("_")[0] for stream in streams)
    if len(set(kinds)) == len(kinds) and set(kinds) <= STREAMS.keys():
        return kinds
    return tuple(stream.replace("/", "_") for stream in streams)
