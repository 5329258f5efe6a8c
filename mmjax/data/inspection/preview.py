"""What `mmjax data` shows: how much data there is, what of it reaches the model, how fast it is read."""

import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from mmjax.data.inspection.contact_sheet import LEAST_WIDTH, contact_sheet
from mmjax.data.inspection.preview_page import page
from mmjax.data.pipeline import TrainPipeline
from mmjax.errors import UserError

SHOWN = 12
ON_SHEET = 36
SECONDS = 2.0


def preview(config, out_png: str) -> dict:
    """Writes the contact sheet and the page, prints the summary, and returns it.

    Args:
        config: an experiment's config; its `data`, `streams`, `seed` and `batch_size` are used.
        out_png: file of the contact sheet; the page lies beside it and ends in `.html`.

    Raises:
        UserError: the data cannot be used, or the files not written.
    """
    pipeline = TrainPipeline(config.data, tuple(config.streams), config.seed, config.batch_size)
    pipeline.unreadable.limit = 1.0  # show what is wrong, however much
    streams = pipeline.reader.streams
    rate, lengths, flags = _read(pipeline, streams)
    examples = list(pipeline.examples(0, range(min(ON_SHEET, config.batch_size))))
    summary = {
        "source": source_of(config.data),
        "shards": len(pipeline.source.paths),
        "samples": len(pipeline.source),
        "members": pipeline.source.member_counts(),
        "batches_per_epoch": pipeline.batches_per_epoch,
        "fingerprint": pipeline.fingerprint(),
        "shapes": {name: [*shape, np.dtype(dtype).name] for name, (shape, dtype) in pipeline.shapes.items()},
        "samples_per_second": round(rate),
        "lengths": {s.name: _statistics(lengths[s.name], s) for s in streams if s.unit and len(lengths[s.name])},
        "present": {name: float(present.mean()) for name, present in flags.items()},
        "examples": [_described(key, example, streams) for key, example in examples[:SHOWN]],
        "rows_read": pipeline.unreadable.rows,
        "unreadable": dict(pipeline.unreadable.reasons),
        "unreadable_examples": [str(fault) for fault in pipeline.unreadable.examples],
    }
    summary |= _write(examples, streams, config.data.image_size, out_png, as_text(summary))
    print(as_text(summary))
    return summary


def _read(pipeline, streams):
    """Samples a second over about SECONDS, after the first batch; by stream, the lengths and presences of these."""
    batches, lengths, flags, rows = pipeline.iterate(0), defaultdict(list), defaultdict(list), 0
    next(batches)
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SECONDS or not rows:
        batch = next(batches)
        rows += len(batch["id"])
        for stream in streams:
            present = batch.get(f"{stream.name}_present", np.ones(len(batch["id"]), bool))
            if stream.unit:
                lengths[stream.name].append(stream.lengths(batch[f"{stream.name}_mask"][present]))
            if stream.optional:
                flags[stream.name].append(present)
    batches.close()
    return rows / elapsed, *({name: np.concatenate(parts) for name, parts in kept.items()} for kept in (lengths, flags))


def _statistics(lengths, stream) -> dict:
    """Of rows by length: least, median, most, and the share that is full (and may have been cut)."""
    full = stream.lengths(np.ones((1, *stream.shapes()["_mask"][0]), bool))[0]
    low, median, high = (round(float(value), 3) for value in np.quantile(lengths, (0, 0.5, 1)))
    shares = {"fewest": low, "median": median, "most": high, "full_share": float((lengths == full).mean())}
    return shares | {"unit": stream.unit, "note": stream.note}


def _described(key, example, streams) -> dict:
    there = [(stream, example[stream.name]) for stream in streams if example[stream.name] is not None]
    return {"key": key, "streams": {stream.name: stream.described(value) for stream, value in there}}


def _write(examples, streams, size, path, summary: str) -> dict[str, str]:
    """The contact sheet of every picture above its example's first caption or key ("" if there is none); the page."""
    side = size * max(1, -(-LEAST_WIDTH // size))
    cells = []
    for key, example in examples:
        there = [(stream, example[stream.name]) for stream in streams if example[stream.name] is not None]
        caption = next(filter(None, (stream.caption(value) for stream, value in there)), key)
        pictures = [stream.picture(value, side) for stream, value in there]
        cells += [(picture, caption) for picture in pictures if picture is not None]
    html = str(Path(path).with_suffix(".html"))
    try:
        Path(html).write_text(page(summary, examples[:SHOWN], streams), encoding="utf-8")
        if cells:
            images, captions = zip(*cells, strict=True)
            contact_sheet(np.stack(images), list(captions)).save(path, "PNG")
    except OSError as error:
        raise UserError(
            f"cannot write the contact sheet: {error}", where=path, remedy="choose another --out"
        ) from error
    return {"contact_sheet": path if cells else "", "page": html}


def source_of(data) -> str:
    """What is trained on, in words: the spec of `data.source`, or those of a mixture."""
    return " + ".join(entry["source"] for entry in data.mixture.values()) or data.source


def as_text(summary: dict) -> str:
    """The summary as lines for a terminal."""
    lines = [
        f"{summary['source']}: {summary['samples']} samples in {summary['shards']} shard(s), "
        f"{summary['batches_per_epoch']} batches an epoch, fingerprint {summary['fingerprint']}"
    ]
    lines += [f"  {count} with {names}" for names, count in summary["members"].items()]
    for name, (*shape, dtype) in summary["shapes"].items():
        lines.append(f"{name}: {' x '.join(map(str, shape))} {dtype}")
    for name, found in summary["lengths"].items():
        note = f"; {found['note']}" if found["note"] else ""
        lines.append(
            f"{name}: {found['fewest']:g} to {found['most']:g} {found['unit']}, median {found['median']:g}, "
            f"{found['full_share']:.1%} of full length{note}"
        )
    lines += [f"{stream}: in {share:.1%} of the rows" for stream, share in summary["present"].items()]
    for example in summary["examples"]:
        shown = "; ".join(filter(None, example["streams"].values()))
        lines.append(f"  {example['key']}: {shown or ', '.join(example['streams'])}")
    lines.append(f"{summary['samples_per_second']} samples/s")
    reasons = ", ".join(f"{count} x {reason}" for reason, count in summary["unreadable"].items())
    lines.append(f"unreadable: {reasons or 'none'} of {summary['rows_read']} rows read")
    lines += [f"  {example}" for example in summary["unreadable_examples"]]
    lines += [f"{what.replace('_', ' ')}: {summary[what]}" for what in ("contact_sheet", "page") if summary.get(what)]
    return "\n".join(lines)
