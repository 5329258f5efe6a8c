"""What `mmjax data` shows: how much data there is, what of it reaches the model, how fast it is read."""

import time
from collections import defaultdict

import numpy as np

from mmjax.data.contact_sheet import contact_sheet
from mmjax.data.pipeline import TrainPipeline
from mmjax.errors import UserError

SHOWN = 12
ON_SHEET = 36
SECONDS = 2.0


def preview(config, out_png: str) -> dict:
    """Writes the contact sheet, prints the summary, and returns it.

    Args:
        config: an experiment's config; its `data`, `streams`, `seed` and `batch_size` are used.
        out_png: file of the contact sheet.

    Raises:
        UserError: the data cannot be used, or `out_png` not written.
    """
    pipeline = TrainPipeline(config.data, tuple(config.streams), config.seed, config.batch_size)
    pipeline.unreadable.limit = 1.0  # show what is wrong, however much
    rate, flags = _read(pipeline)
    examples = list(pipeline.examples(0, range(min(ON_SHEET, config.batch_size))))
    summary = {
        "source": config.data.source,
        "shards": len(pipeline.source.paths),
        "samples": len(pipeline.source),
        "members": pipeline.source.member_counts(),
        "batches_per_epoch": pipeline.batches_per_epoch,
        "fingerprint": pipeline.fingerprint(),
        "vocab_size": pipeline.tokenizer.vocab_size,
        "samples_per_second": round(rate),
        "tokens": _statistics(_token_counts(flags), config.data.context),
        "present": _present_shares(flags),
        "examples": [_described(key, example, pipeline.tokenizer) for key, example in examples[:SHOWN]],
        "rows_read": pipeline.unreadable.rows,
        "unreadable": dict(pipeline.unreadable.reasons),
        "unreadable_examples": [str(fault) for fault in pipeline.unreadable.examples],
        "contact_sheet": _write_sheet(examples, out_png),
    }
    print(as_text(summary))
    return summary


def _read(pipeline) -> tuple[float, dict[str, np.ndarray]]:
    """Samples a second over about SECONDS, after the first batch; and these samples' masks and flags by name."""
    batches, kept, rows = pipeline.iterate(0), defaultdict(list), 0
    next(batches)
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SECONDS or not rows:
        batch = next(batches)
        rows += len(batch["id"])
        for name, array in batch.items():
            if array.dtype == bool:
                kept[name].append(array)
    batches.close()
    return rows / elapsed, {name: np.concatenate(arrays) for name, arrays in kept.items()}


def _token_counts(flags) -> np.ndarray:
    """Of every caption that is there, how many tokens it has."""
    counts = [mask.sum(1) for name, mask in flags.items() if name.endswith("_mask")]
    counts = np.concatenate(counts or [np.zeros(0, int)])
    return counts[counts > 0]


def _present_shares(flags) -> dict[str, float]:
    """The share of samples that have each stream which may be missing."""
    ending = "_present"
    return {name.removesuffix(ending): float(f.mean()) for name, f in flags.items() if name.endswith(ending)}


def _statistics(lengths, context) -> dict:
    """Of captions in tokens: fewest, median, most, and the share that fills the context (and may have been cut)."""
    if not len(lengths):
        return {}
    low, median, high = (int(value) for value in np.quantile(lengths, (0, 0.5, 1)))
    return {"fewest": low, "median": median, "most": high, "full_share": float((lengths == context).mean())}


def _described(key, example, tokenizer) -> dict:
    captions = {stream: value for stream, value in example.items() if isinstance(value, str)}
    tokens = {stream: int(tokenizer([text])[1].sum()) for stream, text in captions.items()}
    return {"key": key, "captions": captions, "tokens": tokens}


def _write_sheet(examples, path) -> str:
    """Pictures of every image stream, each above its example's first caption or key; "" if there is no picture."""
    cells = [
        (value, next((text for text in example.values() if isinstance(text, str)), key))
        for key, example in examples
        for value in example.values()
        if isinstance(value, np.ndarray) and value.ndim == 3
    ]
    if not cells:
        return ""
    images, captions = zip(*cells, strict=True)
    try:
        contact_sheet(np.stack(images), list(captions)).save(path, "PNG")
    except OSError as error:
        raise UserError(
            f"cannot write the contact sheet: {error}", where=path, remedy="choose another --out"
        ) from error
    return path


def as_text(summary: dict) -> str:
    """The summary as lines for a terminal."""
    lines = [
        f"{summary['source']}: {summary['samples']} samples in {summary['shards']} shard(s), "
        f"{summary['batches_per_epoch']} batches an epoch, fingerprint {summary['fingerprint']}"
    ]
    lines += [f"  {count} with {names}" for names, count in summary["members"].items()]
    if tokens := summary["tokens"]:
        lines.append(
            f"captions: {tokens['fewest']} to {tokens['most']} tokens, median {tokens['median']}, "
            f"{tokens['full_share']:.1%} fill the context; vocabulary {summary['vocab_size']}"
        )
    lines += [f"{stream}: in {share:.1%} of the rows" for stream, share in summary["present"].items()]
    for example in summary["examples"]:
        shown = "; ".join(f"{text!r} ({example['tokens'][stream]})" for stream, text in example["captions"].items())
        lines.append(f"  {example['key']}: {shown}")
    lines.append(f"{summary['samples_per_second']} samples/s")
    reasons = ", ".join(f"{count} x {reason}" for reason, count in summary["unreadable"].items())
    lines.append(f"unreadable: {reasons or 'none'} of {summary['rows_read']} rows read")
    lines += [f"  {example}" for example in summary["unreadable_examples"]]
    if summary["contact_sheet"]:
        lines.append(f"contact sheet: {summary['contact_sheet']}")
    return "\n".join(lines)
