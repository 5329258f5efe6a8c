"""What `mmjax data --check` and `--index` do: everything read once, every index built ahead."""

import dataclasses
import sys
import time
from collections import Counter

import numpy as np

from mmjax.data.inspection.preview import source_of
from mmjax.data.mixture import make_parts, open_data, part_data
from mmjax.data.read_ahead import read_ahead
from mmjax.data.samples import Samples
from mmjax.data.sources import open_source
from mmjax.data.streams import Slot, make_streams
from mmjax.data.unreadable import Lacking, Unreadable

CHUNK = 32
LISTED = 50
SECONDS_BETWEEN = 10


def check(config) -> dict:
    """Decodes all that training may draw from every sample of `data.source`, once; prints and returns what is broken.

    Returns:
        {"source", "samples", "seconds", "broken", "by_reason", "absent"}: `broken` is a list of {"url", "key",
        "stream", "member", "reason", "detail"}; `absent` counts by stream the samples that lack one that they may lack.
    """
    source, start = open_data(config.data), time.perf_counter()
    reader = _Checker(source, config.data, tuple(config.streams))
    numbers, broken, absent = range(-(-len(source) // CHUNK)), [], Counter()
    chunks, said = read_ahead(reader, numbers, config.data, 2 * max(1, config.data.workers)), time.perf_counter()
    for number, (faults, lacking) in enumerate(chunks):
        broken += faults
        absent.update(lacking)
        if time.perf_counter() - said > SECONDS_BETWEEN:
            said = time.perf_counter()
            print(f"checked {number * CHUNK} of {len(source)}: {len(broken)} broken", file=sys.stderr)
    chunks.close()
    result = {
        "source": source_of(config.data),
        "samples": len(source),
        "seconds": round(time.perf_counter() - start, 2),
        "broken": broken,
        "by_reason": dict(Counter(fault["reason"] for fault in broken).most_common()),
        "absent": dict(absent),
    }
    print(as_text(result))
    return result


class _Checker:
    """`checker(number) -> (faults, streams that are lacking)` of CHUNK records."""

    def __init__(self, source, data, names):
        self.samples = Samples(source, cache=0)
        parts = [part_data(data, part) for part in make_parts(data).values()]
        self.streams = [distinct(make_streams(settings, names)) for settings in parts or [data]]

    def __call__(self, number: int):
        start, faults, lacking = int(number) * CHUNK, [], []
        for record in range(start, min(start + CHUNK, len(self.samples.source))):
            part = self.samples.source.part(record)[0] if len(self.streams) > 1 else 0
            for stream in self.streams[part]:
                try:
                    rows = stream.every_row(self.samples, record)
                    if not rows:
                        raise Lacking(f"no {stream.noun} in the sample", ", ".join(self.samples.members(record)))
                    found = list(self._faults(stream, rows))
                    absent = [fault for _, fault in found if stream.optional and isinstance(fault, Lacking)]
                    lacking += [stream.name] * (len(absent) == len(rows))
                    faults += [self._told(record, stream, *told) for told in found if told[1] not in absent]
                except Unreadable as fault:
                    if stream.optional and isinstance(fault, Lacking):
                        lacking.append(stream.name)
                    else:
                        faults.append(self._told(record, stream, "", fault))
        return faults, lacking

    def _faults(self, stream, rows):
        """(member, fault) of each row that cannot be read or put into a batch."""
        shapes = stream.shapes_of(rows)
        batch = {f"{stream.name}{end}": np.zeros((1, *shape), dtype) for end, (shape, dtype) in shapes.items()}
        for row in rows:
            try:
                found = [fault for _, fault in stream.write(batch, [0], [stream.read(self.samples, row)])]
            except Unreadable as fault:
                found = [fault]
            yield from ((getattr(row, "member", ""), fault) for fault in found)

    def _told(self, record, stream, member, fault) -> dict[str, str]:
        told = self.samples.fault(record, fault)
        detail = told.detail.removeprefix(f"{member}: ")
        where = {"url": told.url, "key": told.key, "stream": stream.name, "member": member}
        return where | {"reason": told.reason, "detail": detail}


def distinct(streams: list) -> list:
    """Of streams that take the same from a sample, one."""
    alike = {(stream.optional, dataclasses.replace(stream, slot=Slot("", None))): stream for stream in streams}
    return list(alike.values())


def as_text(result: dict) -> str:
    """What `check` found, as lines for a terminal."""
    reasons = ", ".join(f"{count} x {reason}" for reason, count in result["by_reason"].items())
    lines = [f"{result['source']}: {result['samples']} samples read in {result['seconds']} s"]
    lines += [f"{stream}: lacking in {count} samples" for stream, count in result["absent"].items()]
    lines.append(f"broken: {reasons or 'none'}")
    for fault in result["broken"][:LISTED]:
        member = f".{fault['member']}" if fault["member"] else ""
        detail = f" ({fault['detail']})" if fault["detail"] else ""
        lines.append(f"  {fault['url']} [{fault['key']}{member}]: {fault['reason']}{detail}")
    if len(result["broken"]) > LISTED:
        lines.append(f"  and {len(result['broken']) - LISTED} more; --json lists all")
    return "\n".join(lines)


def build_indexes(config) -> dict:
    """Opens every source that a config trains or evaluates on, which builds its index; prints and returns their sizes.

    Returns:
        {"samples": {spec: number of samples}}.
    """
    specs = [entry["source"] for entry in config.data.mixture.values()] or [config.data.source]
    for entry in config.evaluations.values():
        specs += [entry[key] for key in ("train", "source") if entry.get(key)]
    samples = {}
    for spec in dict.fromkeys(specs):
        start = time.perf_counter()
        samples[spec] = len(open_source(spec))
        print(f"{spec}: {samples[spec]} samples, opened in {time.perf_counter() - start:.2f} s")
    return {"samples": samples}
