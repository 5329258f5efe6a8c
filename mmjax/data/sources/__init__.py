"""A source by its spec: random access, `len(source)` and `source[i]` -> dict of raw members."""

import os
from importlib import import_module
from typing import Protocol

from mmjax.data.sources.files import is_remote
from mmjax.data.sources.media import ending
from mmjax.errors import UserError


class Source(Protocol):
    """What the data pipeline asks of a source. Sources can be pickled, and read by many threads.

    Attributes:
        paths: where it lies, for the reader of a summary.
        nbytes: about what all samples take; a source of more than the cache holds is not kept in memory.
    """

    paths: list[str]
    nbytes: int

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> dict:
        """The members of sample `i`, and its `__key__` and `__url__`.

        Bytes by ending ("jpg", "left.png", "flac"), arrays by stream ("vector"), and under "json" the bytes of a JSON
        object or a dict of fields that captions can name.
        """

    def members(self, i: int) -> tuple[str, ...]:
        """The names of sample `i`'s members, without reading it."""

    def url(self, i: int) -> str:
        """Where sample `i` lies."""

    def width(self, stream: str) -> int:
        """Entries of the vectors of a stream; UserError where it gives none."""

    def member_counts(self) -> dict[str, int]:
        """How many samples have which members."""

    def fingerprint(self) -> str:
        """What a resumed run must find unchanged."""


# Prefix of a spec -> what opens the rest of it. Imported when used: some need packages of their own.
PREFIXES = {
    "tar": "mmjax.data.sources.tars:TarSource",
    "csv": "mmjax.data.sources.tables:TableSource",
    "tsv": "mmjax.data.sources.tables:TableSource",
    "jsonl": "mmjax.data.sources.tables:TableSource",
    "parquet": "mmjax.data.sources.parquet:ParquetSource",
    "folder": "mmjax.data.sources.folder:FolderSource",
    "numpy": "mmjax.data.sources.numpy_source:NumpySource",
    "arrayrecord": "mmjax.data.sources.array_records:ArrayRecordSource",
    "tfds": "mmjax.data.sources.tfds_source:TfdsSource",
    "emoji": "mmjax.data.sources.tars:open_emoji",
    "tuxpaint": "mmjax.data.sources.tuxpaint:TuxpaintSource",
    "fluent-animated": "mmjax.data.sources.fluent_animated:FluentAnimatedSource",
    "synthetic": "mmjax.data.sources.synthetic:SyntheticSource",
    "xor": "mmjax.data.sources.xor_source:XorSource",
    "latent": "mmjax.data.sources.latent:LatentSource",
    "mismatched": "mmjax.data.sources.mismatched:MismatchedSource",
    "factors": "mmjax.data.sources.factors:FactorsSource",
    "events": "mmjax.data.sources.events:EventsSource",
    "objects": "mmjax.data.sources.objects:ObjectsSource",
}
# Ending of a path without a prefix -> the prefix that is meant.
ENDINGS = {
    "tar": "tar",
    "csv": "csv",
    "tsv": "tsv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "parquet": "parquet",
    "npy": "numpy",
    "npz": "numpy",
    "arrayrecord": "arrayrecord",
    "array_record": "arrayrecord",
}
JOIN = "&&"


def open_source(spec: str) -> Source:
    """The source that `config.data.source` names.

    Args:
        spec: "PREFIX:REST" with a prefix of PREFIXES, a pattern of files whose ending tells their format, or a folder:
            of shards if it has any, else of pictures in class folders. "SOURCE && SOURCE" joins the samples of two.

    Raises:
        UserError: none of these, or no such data.
    """
    if JOIN in spec:
        from mmjax.data.sources.join import JoinedSource

        return JoinedSource(*(open_source(part.strip()) for part in spec.split(JOIN)))
    prefix, rest = _parse(spec)
    module, name = PREFIXES[prefix].split(":")
    return getattr(import_module(module), name)(rest)


def _parse(spec: str) -> tuple[str, str]:
    """(prefix, rest) of a spec, found out where it has no prefix."""
    prefix, _, rest = spec.partition(":")
    if prefix in PREFIXES and not rest.startswith("//"):
        return prefix, rest
    path = os.path.expanduser(spec)
    if os.path.isdir(path):
        return _in_folder(path)
    if kind := ENDINGS.get(ending(spec.rsplit("::", 1)[-1].rstrip("}"))):
        return kind, spec
    if ".tar" in spec:
        return "tar", spec
    what = f"unknown source {spec!r}" if is_remote(spec) or not os.path.exists(path) else f"unknown format of {spec!r}"
    prefixes = ", ".join(f"{name}:" for name in PREFIXES)
    raise UserError(
        what,
        where="config.data.source",
        remedy=f"use a pattern such as data/{{0000..0009}}.tar, a folder, a file that ends in one of "
        f"{', '.join(ENDINGS)}, or a spec that begins with one of {prefixes}",
    )


def _in_folder(path: str) -> tuple[str, str]:
    """The shards that lie in a folder, or the folder itself as one of pictures."""
    endings = {ending(name) for name in os.listdir(path)}
    for kind in ("tar", "parquet", "arrayrecord", "array_record"):
        if kind in endings:
            return ENDINGS[kind], os.path.join(path, f"*.{kind}")
    return ("numpy" if "npy" in endings else "folder"), path
