"""Tokenizers trained on the captions of a source."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

from mmjax.data.emoji.tokenizers import fit
from mmjax.data.optional import optional
from mmjax.data.samples import Samples
from mmjax.data.sources import Source
from mmjax.data.streams import make_streams, modality
from mmjax.data.tokenizers import make_tokenizer
from mmjax.data.unreadable import Lacking, Unreadable, UnreadableCount
from mmjax.errors import UserError

# The 256 bytes, padding, end, unknown and one piece.
LEAST_PIECES = 260


def train_tokenizer(source: Source, data, vocab_size: int, path: str, kind: str = "bpe") -> dict:
    """Fits a tokenizer on every caption of a source and writes it.

    Args:
        source: of `open_source`.
        data: `config.data`, whose captions, languages and text streams say what training reads.
        vocab_size: greatest number of pieces; with few captions there are fewer.
        path: the file to write; its folder is made.
        kind: bpe: byte pairs (Sennrich et al. 2016, arXiv 1508.07909), for data.tokenizer = PATH; sentencepiece: a
            unigram model (Kudo 2018, arXiv 1804.10959), for "siglip:PATH" or "sentencepiece:PATH".

    Returns:
        {"path", "kind", "vocab_size", "captions", "unreadable"}: the pieces it has, the captions it was trained on,
        and the samples that could not be read, by reason.

    Raises:
        UserError: an unknown kind, too few pieces, no caption, or more unreadable samples than data.max_unreadable.
    """
    if kind not in KINDS:
        raise UserError(f"unknown kind of tokenizer {kind!r}", remedy=f"use one of {', '.join(KINDS)}")
    if vocab_size < LEAST_PIECES:
        remedy = f"give at least {LEAST_PIECES}: the 256 bytes and the special ids"
        raise UserError(f"vocab_size is {vocab_size}", remedy=remedy)
    unreadable, counter = UnreadableCount(data.max_unreadable), itertools.count()
    numbered = zip(every_caption(source, data, unreadable), counter, strict=False)
    first = next(numbered, None)
    if first is None:
        remedy = "look at the samples with `mmjax data`, and set data.captions to templates over their fields"
        raise UserError("the source has no captions", where=source.paths[0], remedy=remedy)
    written = KINDS[kind]((caption for caption, _ in itertools.chain([first], numbered)), vocab_size)
    path = Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(written)
    name = str(path) if kind == "bpe" else f"{kind}:{path}"
    return {
        "path": str(path),
        "kind": kind,
        "vocab_size": make_tokenizer(name, 8).vocab_size,
        "captions": next(counter),
        "unreadable": dict(unreadable.reasons),
    }


def every_caption(source: Source, data, unreadable: UnreadableCount) -> Iterator[str]:
    """Every caption of each sample that training may draw, in order: all templates, in all languages.

    Samples that cannot be read are counted in `unreadable`; one that merely lacks a stream that may be missing is not.
    """
    samples = Samples(source, cache=0)
    streams = make_streams(data, [name for name in data.streams if modality(name) == "text"] or ["text"])
    for record in range(len(source)):
        faults = []
        for stream in streams:
            try:
                yield from (row.text for row in stream.every_row(samples, record))
            except Unreadable as fault:
                if not (stream.optional and isinstance(fault, Lacking)):
                    faults.append(samples.fault(record, fault))
        unreadable.add(1, faults[:1])


def train_bpe(texts: Iterator[str], pieces: int) -> bytes:
    """A byte-level `tokenizer.json` of lower-cased, NFKC-normalised text: `<pad>` is 0, and captions end with 1."""
    return fit(texts, pieces).to_str(pretty=True).encode()


def train_sentencepiece(texts: Iterator[str], pieces: int) -> bytes:
    """A unigram SentencePiece model with the special ids of T5's: padding 0, end 1, unknown 2; no piece for a start.

    What has no piece is made of bytes.
    """
    sentencepiece, out = optional("sentencepiece", "sentencepiece", "this kind of tokenizer"), io.BytesIO()
    ids = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    options = {"hard_vocab_limit": False, "byte_fallback": True, "num_threads": 1, "minloglevel": 2}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=texts, model_writer=out, vocab_size=pieces, **ids, **options
    )
    return out.getvalue()


KINDS = {"bpe": train_bpe, "sentencepiece": train_sentencepiece}
