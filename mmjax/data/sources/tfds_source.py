"""Data sets of tensorflow-datasets as a source, read without TensorFlow."""

import hashlib
import os

import numpy as np

from mmjax.data.optional import optional
from mmjax.data.sources.media import member_name, sniff
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError


class TfdsSource:
    """A split of a data set that has been prepared as ArrayRecord.

    Features of kind Image are members, called by their ending, and where there are several by their name too,
    "left.png". Float features with axes give arrays to the stream of their name. All else is fields under `json`: of a
    class label `label` the number, and its name as `label_name`; nested features also by their path, as in
    `{captions.text:one}`. Recordings and videos, for which tensorflow-datasets itself needs TensorFlow, are left out.

    Args:
        spec: "NAME/SPLIT" or "NAME/CONFIG/SPLIT", with ",data_dir=FOLDER" where it lies elsewhere than in
            `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.

    Raises:
        UserError: no such data set or split, not prepared as ArrayRecord, or without a first record.
    """

    def __init__(self, spec: str):
        self._spec, self.paths = spec, [f"tfds:{spec}"]
        name, _, folder = spec.partition(",data_dir=")
        name, _, split = name.rpartition("/")
        if not name:
            raise UserError(f"no split in {spec!r}", where="config.data.source", remedy="write tfds:NAME/SPLIT")
        builder = _builder(name, folder, self.paths[0])
        kinds = _Kinds(builder.info.features)
        try:
            self._rows = builder.as_data_source(split=split, decoders=kinds.decoders)
        except Exception as error:  # of many kinds, for no such split as for another file format
            remedy = f"one of the splits {', '.join(builder.info.splits) or '(none)'}, prepared with {_command(name)}"
            raise UserError(f"cannot read it: {error}", where=self.paths[0], remedy=remedy) from error
        self._kinds, self._info = kinds, f"{builder.info.full_name} {split} {len(self._rows)}"
        self.nbytes = sum(part.num_bytes for key, part in builder.info.splits.items() if split.startswith(key))
        try:
            self._media = kinds.media_names(self._row(0))
        except (Unreadable, IndexError) as error:
            remedy = f"prepare it again with {_command(name)}"
            raise UserError(f"no first record: {error.args[0]}", where=self.paths[0], remedy=remedy) from error

    def _row(self, i) -> dict:
        if not 0 <= i < len(self):
            raise IndexError(i)
        try:
            return self._rows[i]
        except Exception as error:  # a damaged file, a feature that does not parse
            raise Unreadable("the record cannot be read", f"{self.paths[0]}, record {i}: {error}") from error

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, i: int) -> dict:
        """The media of record `i` as bytes, its arrays float32, its fields under `json`, `__key__` and `__url__`.

        Raises:
            Unreadable: the record cannot be read.
        """
        row = self._row(i)
        raw = {"__key__": f"record {i}", "__url__": self.paths[0]}
        for feature, name in self._media.items():
            raw[name] = row.pop(feature)
        for feature in self._kinds.arrays:
            raw[feature] = np.asarray(row.pop(feature), np.float32)
        return raw | {"json": self._kinds.fields(row)}

    def members(self, i: int) -> tuple[str, ...]:
        """The same names for every record."""
        return (*self._media.values(), *self._kinds.arrays, "json")

    def url(self, i: int) -> str:
        """The spec."""
        return self.paths[0]

    def width(self, stream: str) -> int:
        """Entries of a stream's vectors (the last axis); UserError where there is no such float feature."""
        if stream not in self._kinds.arrays:
            there = ", ".join(self._kinds.arrays) or "none"
            raise UserError(f"no vectors {stream!r}", where=self.paths[0], remedy=f"float features here: {there}")
        return self[0][stream].shape[-1]

    def member_counts(self) -> dict[str, int]:
        """All records have the same."""
        return {", ".join(self.members(0)): len(self)}

    def fingerprint(self) -> str:
        """16 hexadecimal digits over the data set's name and version, the split and its length."""
        return hashlib.sha256(self._info.encode()).hexdigest()[:16]

    def __reduce__(self):
        return TfdsSource, (self._spec,)


def _builder(name, folder, where):
    tfds = optional("tensorflow_datasets", "tfds", "a tfds source")
    try:
        return tfds.builder(name, data_dir=os.path.expanduser(folder) or None)
    except Exception as error:  # its registry, its reader of folders and its importer each have their own
        raise UserError(
            f"no such data set: {error}", where=where, remedy=f"prepare it with {_command(name)}"
        ) from error


def _command(name) -> str:
    return f"`tfds build {name} --file_format=array_record`"


class _Kinds:
    """What becomes of each feature of a data set."""

    def __init__(self, features):
        import tensorflow_datasets as tfds

        self._features = dict(features)
        self._images = self._of_kind(tfds.features.Image)
        self._labels = self._of_kind(tfds.features.ClassLabel)
        self._left_out = self._of_kind((tfds.features.Audio, tfds.features.Video))
        self.arrays = [name for name in self._of_kind(tfds.features.Tensor) if self._is_array(name)]
        self.decoders = {name: tfds.decode.SkipDecoding() for name in self._images}

    def _of_kind(self, kind) -> list[str]:
        return [name for name, feature in self._features.items() if isinstance(feature, kind)]

    def _is_array(self, name) -> bool:
        feature = self._features[name]
        return len(feature.shape) > 0 and np.issubdtype(feature.np_dtype, np.floating)

    def media_names(self, row) -> dict[str, str]:
        """Feature -> member name, by the first record."""
        kinds = {name: sniff(row[name]) or "bin" for name in self._images}
        return {name: member_name(name, kind, len(kinds) == 1) for name, kind in kinds.items()}

    def fields(self, row) -> dict:
        """All features that are no media, as plain values."""
        fields = {}
        for name, value in row.items():
            if name not in self._left_out:
                fields |= _flat(name, _plain(value))
            if name in self._labels and value >= 0:
                fields[f"{name}_name"] = self._features[name].int2str(int(value))
        return fields


def _plain(value):
    """Numbers, strings, lists and dicts of what numpy gives."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _flat(name, value) -> dict:
    """A field, and below "name.inner" what a dict in it holds, or the list of what dicts in a list of it hold."""
    found = {name: value}
    if isinstance(value, list) and value and all(isinstance(inner, dict) for inner in value):
        value = {key: [inner.get(key) for inner in value] for key in value[0]}
    if isinstance(value, dict):
        for inner, deeper in value.items():
            found |= _flat(f"{name}.{inner}", deeper)
    return found
