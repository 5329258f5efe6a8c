"""The verb embed: embeddings and ids of a source, written part by part so that an interrupted job goes on."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from mmjax import config as config_lib
from mmjax.data.rows import list_rows
from mmjax.data.sources import open_source
from mmjax.data.unreadable import UnreadableCount
from mmjax.errors import UserError
from mmjax.evaluation.suite import Suite, weights
from mmjax.training.load import load
from mmjax.training.progress import say
from mmjax.training.workdir import write_atomically

PART_ROWS = 8192
MOST_SAMPLES = 2**28


def embed_source(
    workdir: str,
    *,
    source: str,
    stream: str,
    out: str,
    captions: str = "{txt}",
    language: str = "",
    step: int | None = None,
) -> dict:
    """Write unit-norm embeddings of everything a stream takes from a source under a run's (averaged) weights.

    `.npy`: the (N, D) float32 array, and beside it `.ids.npy` (N,) text. `.parquet`: columns `id` and `embedding`,
    for captions also `text`. An id is the sample's key and, for pictures, sounds, clips and series, the member:
    "1f600.noto.webp". Rows that cannot be read are left out. Parts lie in `OUT.parts/` until the last one is done; the
    same command goes on after the last whole part.

    Args:
        workdir: folder of the run.
        source: as data.source.
        stream: a stream of the run's config, a head, or a teacher's ("ema/image").
        out: file to write.
        captions: template of the captions, for text streams.
        language: of captions and sounds that come in several; empty: the first that the stream takes.
        step: step of the checkpoint; None: the newest.

    Returns:
        {"out", "rows", "width", "step"}.

    Raises:
        UserError: for an unknown stream or file type, or parts of another job.
    """
    out = Path(out)
    write = _writer(out)
    experiment, state = load(workdir, step=step)
    config = experiment.config
    config_lib.check_features(config, (stream,), "--stream")
    opened = open_source(source)
    if len(opened) > MOST_SAMPLES:
        remedy = "embed a part of it, or a source of real samples"
        raise UserError(f"{source!r} has {len(opened):,} samples, more than one file holds", remedy=remedy)
    embeddings = Suite(experiment).embeddings(weights(state)["val"])
    asked = embeddings.stream(stream, captions=captions, language=language)
    rows = list_rows(asked, opened, UnreadableCount(config.data.max_unreadable))
    job = {
        "workdir": str(Path(workdir).absolute()),
        "step": int(state.step),
        "source": opened.fingerprint(),
        "stream": stream,
        "rows": hashlib.sha256(repr(rows).encode()).hexdigest(),
    }
    if not rows:
        raise UserError(f"nothing to embed in {source!r}", where=f"stream {stream!r}", remedy="check --source")
    parts = _open_parts(out, job)
    for number, start in enumerate(range(0, len(rows), PART_ROWS)):
        part = parts / f"{number:06d}.npz"
        if part.exists():
            continue
        some = rows[start : start + PART_ROWS]
        _save_part(part, embeddings.embed(asked, opened, some, stream), opened, text=hasattr(some[0], "text"))
        say(f"embedded {min(start + PART_ROWS, len(rows))} of {len(rows)}")
    whole = [np.load(p, allow_pickle=False) for p in sorted(parts.glob("*.npz"))]
    columns = {name: np.concatenate([p[name] for p in whole]) for name in whole[0].files}
    write(out, columns)
    shutil.rmtree(parts)
    return {
        "out": str(out),
        "rows": len(columns["id"]),
        "width": columns["embedding"].shape[1],
        "step": int(state.step),
    }


def _open_parts(out: Path, job: dict) -> Path:
    """The folder of finished parts, which must be of the same job."""
    parts = out.with_name(out.name + ".parts")
    try:
        parts.mkdir(parents=True, exist_ok=True)
        record = parts / "job.json"
        if record.exists() and json.loads(record.read_text()) != job:
            raise UserError(
                "unfinished parts of another job lie there",
                where=str(parts),
                remedy="delete that folder or choose another --out",
            )
        write_atomically(record, json.dumps(job))
    except OSError as error:
        raise UserError(f"cannot write: {error.strerror}", where=str(parts), remedy="choose another --out") from error
    return parts


def _save_part(path: Path, embedded, source, *, text: bool) -> None:
    """Write one part whole or not at all."""
    keys = {int(r): source[int(r)]["__key__"] for r in np.unique(embedded.records)}
    ids = [keys[r.record] + (f".{r.member}" if hasattr(r, "member") else "") for r in embedded.rows]
    columns = {"id": np.array(ids, str), "embedding": embedded.vectors}
    if text:
        columns["text"] = np.array([r.text for r in embedded.rows], str)
    unfinished = path.with_suffix(".tmp")
    with open(unfinished, "wb") as file:
        np.savez(file, **columns)
    unfinished.rename(path)


def _writer(out: Path):
    writers = {".npy": _write_npy, ".parquet": _write_parquet}
    if out.suffix not in writers:
        raise UserError(f"cannot write {out.name!r}", where="--out", remedy="end its name in .npy or .parquet")
    if out.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise UserError("pyarrow is not installed", where="--out", remedy="pip install 'mmjax[parquet]'") from error
    return writers[out.suffix]


def _write_npy(out: Path, columns: dict) -> None:
    np.save(out, columns["embedding"])
    np.save(out.with_suffix(".ids.npy"), columns["id"])


def _write_parquet(out: Path, columns: dict) -> None:
    import pyarrow
    import pyarrow.parquet

    vectors = columns["embedding"]
    flat = pyarrow.array(vectors.reshape(-1), pyarrow.float32())
    embedding = pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    texts = {name: pyarrow.array(values.tolist()) for name, values in columns.items() if name != "embedding"}
    pyarrow.parquet.write_table(pyarrow.table(texts | {"embedding": embedding}), out)
