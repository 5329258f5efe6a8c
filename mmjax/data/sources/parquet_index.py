"""What is worked out once from a Parquet file: its row groups, what its columns are, and which rows have nulls."""

import hashlib
import json
from contextlib import contextmanager

import numpy as np

from mmjax.data.sources import remote
from mmjax.data.sources.files import Files, Stamp, is_remote
from mmjax.data.sources.index_cache import Arrays
from mmjax.data.sources.media import ending, member_name, sniff
from mmjax.data.sources.sharded import Layouts
from mmjax.errors import UserError

FORM = "parquet 1"
LARGEST_GROUP = 2**31
# What Arrow raises for damaged files: its own errors are kinds of these.
DAMAGE = (OSError, ValueError, LookupError, TypeError, NotImplementedError, RuntimeError, MemoryError)


@contextmanager
def open_parquet(path: str):
    """An open `pyarrow.parquet.ParquetFile` of a path or address."""
    import pyarrow.parquet as parquet

    if not is_remote(path):
        with parquet.ParquetFile(path) as file:
            yield file
        return
    files, inner = remote.filesystem(path)
    with files.open(inner, "rb") as source, parquet.ParquetFile(source) as file:
        yield file


def build_index(path: str, now: Stamp) -> Arrays:
    """The index of a Parquet file; UserError if it is none or cannot be read."""
    try:
        with open_parquet(path) as file:
            return _build(path, file) | {"digest": np.array(_footer_digest(path, now.size))}
    except DAMAGE as error:
        if isinstance(error, UserError):
            raise
        remedy = "copy or write the file again, or leave it out of the pattern"
        raise UserError(f"cannot read the Parquet file: {error}", where=path, remedy=remedy) from error


def _footer_digest(path, size) -> str:
    """Of the footer, which has the place, size and statistics of every column."""
    files = Files()
    length = int.from_bytes(files.read(path, size - 8, 4), "little")
    return hashlib.sha256(files.read(path, max(0, size - 8 - length), length)).hexdigest()


def _build(path, file) -> Arrays:
    # Of a row group nothing but these two: asked about single columns of a damaged file, Arrow ends the process.
    groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
    if (largest := max((group.total_byte_size for group in groups), default=0)) > LARGEST_GROUP:
        what = f"a row group of {largest} bytes, which is read as a whole"
        raise UserError(what, where=path, remedy="write the file with smaller row groups (row_group_size)")
    group_ends = np.cumsum([group.num_rows for group in groups], dtype=np.int64)
    nbytes = sum(group.total_byte_size for group in groups)
    schema = file.schema_arrow
    kinds = {field.name: _kind(_first_value(file, field.name)) for field in schema if _is_bulk(field.type)}
    media = {column: kind for column, kind in kinds.items() if kind}
    names = {column: member_name(column, kind, len(media) == 1) for column, kind in media.items()}
    vectors = [field.name for field in schema if _is_vector(field.type)]
    absent = {column: _nulls(file, schema.field(column)) for column in media}
    layouts = Layouts()
    for row in range(file.metadata.num_rows):
        layouts.add([*(names[column] for column in media if not absent[column][row]), *vectors, "json"])
    labels = _labels(schema.metadata or {})
    return layouts.arrays(path) | {
        "group_ends": group_ends,
        "columns": np.array(schema.names, np.str_),
        "media": np.array(list(media), np.str_),
        "media_names": np.array(list(names.values()), np.str_),
        "vectors": np.array(vectors, np.str_),
        "widths": np.array([_width(_first_value(file, column)) for column in vectors], np.int64),
        "labels": np.array(list(labels), np.str_),
        "label_names": np.array(["\n".join(texts) for texts in labels.values()], np.str_),
        "nbytes": np.array(nbytes),
    }


def _is_bulk(kind) -> bool:
    """Whether values are bytes, or a struct that holds bytes."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and kind.get_field_index("path") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_vector(kind) -> bool:
    """Whether values are lists of floats, or lists of such lists."""
    import pyarrow as pa

    depth = 0
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth > 0 and pa.types.is_floating(kind)


def _width(value) -> int:
    return np.array(value, np.float32).shape[-1] if value else 0


def _first_value(file, column):
    """The first value of a column that is not null; None if there is none."""
    for group in range(file.num_row_groups):
        values = file.read_row_group(group, columns=[column]).column(column).drop_null()
        if len(values):
            return values[0].as_py()
    return None


def _kind(value) -> str:
    """The ending of a medium, by its path or else its first bytes; "" of bytes that are none."""
    if isinstance(value, dict):
        return ending(value["path"] or "") or sniff(value["bytes"] or b"") or "bin"
    return sniff(value) if value else ""


def _nulls(file, field) -> np.ndarray:
    """(N,) bool: which rows have no medium at all. The paths tell, without the bytes; plain bytes count as there."""
    import pyarrow as pa

    if not pa.types.is_struct(field.type):
        return np.zeros(file.metadata.num_rows, bool)
    parts = [np.zeros(0, bool)]
    for group in range(file.num_row_groups):
        column = file.read_row_group(group, columns=[f"{field.name}.path"]).column(field.name)
        parts.append(column.is_null().to_numpy())
    return np.concatenate(parts)


def _labels(metadata) -> dict[str, list[str]]:
    """Column -> names of its numbers, as Hugging Face writes them into a file's metadata."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        named = {column: feature.get("names") for column, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}
    return {column: names for column, names in named.items() if isinstance(names, list)}
