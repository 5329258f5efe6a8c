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


def base_names(embeddings, features) -> tuple[str, ...]:
    """`side_names` of the streams that features are made of; where two are made of one stream, of the features."""
    bases = tuple(embeddings.stream(name).name for name in features)
    return side_names(bases if len(set(bases)) == len(bases) else features)
