"""A source by its spec: random access, `len(source)` and `source[i]` -> dict of raw members."""

from mmjax.data.tars import TarSource
from mmjax.errors import UserError


def open_source(spec: str) -> TarSource:
    """The source that `config.data.source` names.

    Args:
        spec: "emoji:SPLIT" for the data that ships with the package, or a pattern of tars (see `TarSource`).

    Raises:
        UserError: neither, or no such data.
    """
    if spec.startswith("emoji:"):
        from mmjax.data import emoji

        return TarSource(str(emoji.shard(spec.removeprefix("emoji:"))))
    if ".tar" not in spec:
        raise UserError(
            f"unknown source {spec!r}",
            where="config.data.source",
            remedy='use "emoji:train" or a pattern of tars such as "data/{0000..0009}.tar"',
        )
    return TarSource(spec)
