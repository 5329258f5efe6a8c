"""ArrayRecord files (https://github.com/google/array_record) of samples: one record a sample, a map in MessagePack.

The map's keys are member names: bytes by ending ("jpg", "txt", "flac"), arrays by stream as the bytes of a `.npy` file,
called by the stream and ".array", `json` as the bytes of a JSON object, and `__key__`, a string. No pickle, no
TensorFlow; `write_array_record` writes them from the samples of any source.
"""

import functools
import hashlib
import io
import json
from collections.abc import Iterable

import numpy as np

from mmjax.data.decoding.npy import read_npy
from mmjax.data.optional import optional
from mmjax.data.sources.files import MOST_BYTES, Stamp, expand, is_remote, stamp
from mmjax.data.sources.index_cache import Arrays, cached_all
from mmjax.data.sources.sharded import FileIndex, Layouts, ShardedSource
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

FORM = "arrayrecord 1"
MODULE = "array_record.python.array_record_module"
ARRAY = ".array"
OPEN_READERS = 64
READ_AT_ONCE = 256


class ArrayRecordSource(ShardedSource):
    """The samples of one or many ArrayRecord files, as described above. Each takes 2 bytes of memory.

    Args:
        pattern: as of `expand`, of local files.

    Raises:
        UserError: nothing matches, or a file is no ArrayRecord or of other records.
    """

    def __init__(self, pattern: str):
        paths = expand(pattern, "arrayrecord")
        if far := [path for path in paths if is_remote(path)]:
            raise UserError("ArrayRecord files must be local", where=far[0], remedy="copy or mount them")
        super().__init__(paths, [FileIndex.of(arrays) for arrays in cached_all(paths, FORM, build_index)])
        self.nbytes = sum(int(index.arrays["nbytes"]) for index in self.indexes)
        self._open = functools.lru_cache(OPEN_READERS)(_open)

    def __getitem__(self, i: int) -> dict:
        """The members of sample `i`, and its `__key__` and `__url__`.

        Raises:
            Unreadable: the file has gone or changed.
        """
        number, row = self.place(i)
        path = self.paths[number]
        try:
            members = _unpack(self._open(path).read([row])[0])
        except (OSError, ValueError, IndexError, RuntimeError) as error:
            raise Unreadable("the record cannot be read", f"{path}, record {row}: {error}") from error
        raw = {"__key__": members.pop("__key__", f"record {row}"), "__url__": path}
        for name, value in members.items():
            raw[name.removesuffix(ARRAY)] = read_npy(value) if name.endswith(ARRAY) else value
        if tuple(raw)[2:] != self.members(i):
            raise Unreadable("the file has changed since it was indexed", f"{path}, record {row}")
        return raw

    def width(self, stream: str) -> int:
        """Entries of the first sample's array; UserError if it has none of that name, or cannot be read."""
        try:
            array = self[0].get(stream)
        except Unreadable as fault:
            what = f"the first sample cannot be read: {fault.reason}"
            raise UserError(what, where=self.url(0), remedy="write the file again") from fault
        return array.shape[-1] if isinstance(array, np.ndarray) else super().width(stream)

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_open"}

    def __setstate__(self, state):
        vars(self).update(state, _open=functools.lru_cache(OPEN_READERS)(_open))


def write_array_record(path: str, samples: Iterable[dict]) -> int:
    """Writes samples, such as `source[i]` for every `i`, and returns how many.

    Args:
        path: the new file.
        samples: members by name, bytes or arrays, `json` also as a dict; `__key__` is kept, `__url__` not.
    """
    msgpack = optional("msgpack", "array_record", "ArrayRecord")
    # One record a group: otherwise reading one at random decompresses all its neighbours.
    writer = optional(MODULE, "array_record", "ArrayRecord").ArrayRecordWriter(path, "group_size:1")
    count = 0
    for sample in samples:
        members = dict(_packed(name, value) for name, value in sample.items() if name != "__url__")
        writer.write(msgpack.packb(members))
        count += 1
    writer.close()
    return count


def _packed(name, value):
    if isinstance(value, np.ndarray):
        out = io.BytesIO()
        np.save(out, value, allow_pickle=False)
        return name + ARRAY, out.getvalue()
    return name, json.dumps(value).encode() if isinstance(value, dict) else value


def _unpack(record: bytes) -> dict:
    """The members of a record; ValueError if it is none of ours."""
    msgpack = optional("msgpack", "array_record", "ArrayRecord")
    if len(record) > MOST_BYTES:
        raise ValueError(f"a record of {len(record)} bytes")
    members = msgpack.unpackb(record)
    if not isinstance(members, dict) or not all(isinstance(n, str) and "/" not in n for n in members):
        raise ValueError("not a map of members")
    if not all(isinstance(value, str if name == "__key__" else bytes) for name, value in members.items()):
        raise ValueError("a member that is not bytes")
    return members


def _open(path: str):
    stamp(path)  # to the reader, a file that is not there is one without records
    reader = optional(MODULE, "array_record", "ArrayRecord").ArrayRecordReader(path)
    if not reader.ok():
        raise ValueError("damaged, cut off or of another format")
    return reader


def build_index(path: str, now: Stamp) -> Arrays:
    """Which members each record has, by reading all of them; UserError if the file is not as described above."""
    layouts, digest, nbytes = Layouts(), hashlib.sha256(), 0
    try:
        reader = _open(path)
        for first in range(0, reader.num_records(), READ_AT_ONCE):
            for record in reader.read(first, min(first + READ_AT_ONCE, reader.num_records())):
                names = [name.removesuffix(ARRAY) for name in _unpack(record) if name != "__key__"]
                layouts.add(names)
                nbytes += len(record)
                digest.update(record)
    except (OSError, ValueError, IndexError, RuntimeError) as error:
        if isinstance(error, UserError):
            raise
        remedy = "write it with mmjax.data.sources.array_records.write_array_record"
        raise UserError(f"not an ArrayRecord of samples: {error}", where=path, remedy=remedy) from error
    return layouts.arrays(path) | {"nbytes": np.array(nbytes), "digest": np.array(digest.hexdigest())}
