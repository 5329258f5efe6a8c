"""Every sample of a source read once by threads: which pass the conditions, and what tells duplicates."""

import functools
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from mmjax.data.captions import text_fields
from mmjax.data.selection.conditions import Condition
from mmjax.data.selection.uids import PAIR, contains, parse_uid
from mmjax.data.sources import Source
from mmjax.data.unreadable import Fault, Unreadable, UnreadableCount
from mmjax.errors import UserError, nearest

CHUNK = 256
WINDOW = 64
# A field that so many samples lack is taken for a mistake before the rest is read.
LOOKED_AT = 10_000


class Scan(NamedTuple):
    """What was found of N samples.

    Attributes:
        passed: (N,) bool, read and within all conditions.
        values: (N,) pairs, digests of the field that must be unique.
        has_value: (N,) bool, whether there is such a field.
        unreadable: how many could not be read.
    """

    passed: np.ndarray
    values: np.ndarray
    has_value: np.ndarray
    unreadable: int


def scan(
    source: Source,
    conditions: Sequence[Condition],
    unique: str,
    uids: np.ndarray | None,
    threads: int,
    max_unreadable: float,
) -> Scan:
    """Reads every sample.

    Args:
        source: any source.
        conditions: all of which a sample must meet. One without the field does not.
        unique: field of which digests are wanted; "": none.
        uids: of `load_uids`; the sample's uid, its JSON's `uid` or else its key, must be among them. None: any.
        threads: that read.
        max_unreadable: share of samples that may fail.

    Raises:
        UserError: no sample has a field, or more than `max_unreadable` cannot be read.
    """
    wanted = {condition.field for condition in conditions} | ({unique} if unique else set())
    read = functools.partial(_read, source, conditions, unique, uids)
    rows = np.zeros(len(source), [("passed", "?"), ("value", PAIR), ("has_value", "?")])
    unreadable, names = UnreadableCount(max_unreadable), set()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for start, (part, faults, found) in _in_order(pool, read, range(0, len(source), CHUNK)):
            rows[start : start + len(part)] = part
            unreadable.add(len(part), faults)
            wanted -= found
            names |= found
            if wanted and start + len(part) >= min(LOOKED_AT, len(source)):
                what = f"no sample has the field {min(wanted)!r}"
                raise UserError(what, where=source.paths[0], remedy=nearest(min(wanted), names))
    return Scan(rows["passed"], rows["value"], rows["has_value"], unreadable.reasons.total())


def _in_order(pool, read, starts):
    """(start, read(start)) of all `starts`, no more than WINDOW of them ahead."""
    for first in range(0, len(starts), WINDOW):
        window = starts[first : first + WINDOW]
        yield from zip(window, pool.map(read, window), strict=True)


def _read(source, conditions, unique, uids, start):
    """The rows, faults and names of fields of the CHUNK samples from `start` on."""
    numbers = range(start, min(start + CHUNK, len(source)))
    rows = np.zeros(len(numbers), [("passed", "?"), ("value", PAIR), ("has_value", "?")])
    pairs, faults, names = np.zeros(len(numbers), PAIR), [], set()
    for row, i in enumerate(numbers):
        try:
            fields = fields_of(source, i)
            names |= _names(fields)
            rows["passed"][row] = all(_meets(fields, condition) for condition in conditions)
            if unique and (value := lookup(fields, unique)) is not None:
                rows["value"][row], rows["has_value"][row] = _digest(value), True
            if uids is not None:
                pairs[row] = parse_uid(fields.get("uid", fields["key"]))
        except Unreadable as fault:
            rows["passed"][row] = False
            faults.append(Fault(fault.reason, source.url(i), f"sample {i}", fault.detail))
    if uids is not None:
        rows["passed"] &= contains(uids, pairs)
    return rows, faults, names


def fields_of(source: Source, i: int) -> dict:
    """The text fields of a sample, and under `key` its key if it has no field of that name.

    A source that can give them without reading pictures and sounds has a method `fields(i) -> dict`.
    """
    if hasattr(source, "fields"):
        return source.fields(i)
    raw = source[i]
    key, _ = raw.pop("__key__"), raw.pop("__url__")
    return {"key": key} | text_fields(raw)


def lookup(fields: dict, path: str):
    """The value of a field, or of "field.inner" in a field that is an object; None if it is not there."""
    value = fields.get(path)
    if value is None and "." in path:
        outer, inner = path.split(".", 1)
        value = lookup(fields[outer], inner) if isinstance(fields.get(outer), dict) else None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _names(fields) -> set[str]:
    """Of all fields that are there, with those inside objects."""
    inner = {f"{name}.{key}" for name, value in fields.items() if isinstance(value, dict) for key in _names(value)}
    return {name for name, value in fields.items() if value is not None} | inner


def _meets(fields, condition) -> bool:
    value = lookup(fields, condition.field)
    return value is not None and condition(value)


def _digest(value) -> tuple[int, int]:
    digest = hashlib.blake2b(f"{type(value).__name__} {value!r}".encode("utf-8", "replace"), digest_size=16).digest()
    return int.from_bytes(digest[:8]), int.from_bytes(digest[8:])
