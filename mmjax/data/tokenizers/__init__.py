"""Captions to token ids: the tokenizers by name, and those of the `tokenizers` library, which read `tokenizer.json`."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmjax.errors import UserError

SHIPPED = {"emoji": "tokenizer.json", "emoji-multilingual": "tokenizer-multilingual.json"}
PAD_TOKENS = ("<pad>", "[PAD]", "<|padding|>", "<|endoftext|>", "</s>")


def make_tokenizer(name: str, context: int):
    """A callable, captions -> (ids (B,L) int32, mask (B,L) bool), with attributes `vocab_size`, `pad_id`, `context`.

    A caption that is too long is cut, and its end token kept; the mask of one without a single piece is all False.

    Args:
        name: what makes the ids:
            "emoji", "emoji-multilingual": trained on the emoji captions, shipped;
            "clip", "clip:PATH": CLIP's byte pairs, see `clip_tokenizer`;
            "siglip:PATH", "siglip2:PATH", "sentencepiece:PATH": a SentencePiece model, see `SentencePieceTokenizer`;
            "bytes": UTF-8 bytes, see `ByteTokenizer`;
            else the path of a `tokenizer.json` (https://huggingface.co/docs/tokenizers).
        context: number of ids a caption, L.

    Raises:
        UserError: there is no such file, it is no tokenizer, or a package is missing.
    """
    family, _, path = name.partition(":")
    if family == "clip":
        from mmjax.data.tokenizers.clip import clip_tokenizer

        return clip_tokenizer(path, context)
    if family in ("siglip", "siglip2", "sentencepiece") and path:
        from mmjax.data.tokenizers.pieces import SentencePieceTokenizer

        return SentencePieceTokenizer(family, path, context)
    if name == "bytes":
        from mmjax.data.tokenizers.byte import ByteTokenizer

        return ByteTokenizer(context)
    return Tokenizer(name, context)


def encodable(text: str) -> str:
    """The text with "?" for halves of surrogate pairs, which JSON may hold and UTF-8 may not."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def padded(rows: list[list[int]], context: int, pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of at most L = `context` ids as (B,L) int32, filled up with `pad_id`, and (B,L) bool, True for theirs."""
    ids = np.full((len(rows), context), pad_id, np.int32)
    for row, found in zip(ids, rows, strict=True):
        row[: len(found)] = found
    lengths = np.array([len(found) for found in rows], np.int64)
    return ids, np.arange(context) < lengths[:, None]


def check_context(context: int, specials: int) -> None:
    """Raise `UserError` unless a piece fits beside the special ids."""
    if context <= specials:
        raise UserError(f"{context} ids leave no room for a word", where="config.data.context", remedy="raise it")


class LibraryTokenizer:
    """Callable: captions -> (ids, mask), by a `tokenizers.Tokenizer`.

    Args:
        tokenizer: with what adds its special ids; its own padding and truncation are replaced.
        context: number of ids a caption, L.
        pad_id: what fills the rest.
        clean: what is done to a caption first, if anything.
    """

    def __init__(self, tokenizer, context: int, pad_id: int, clean: Callable[[str], str] | None = None):
        # Its own threads would take the cores from the step, and warn in every worker process.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self.context, self.pad_id = context, pad_id
        self._tokenizer, self._clean = tokenizer, clean
        self._specials = tokenizer.num_special_tokens_to_add(False)
        check_context(context, self._specials)
        tokenizer.no_padding()
        tokenizer.enable_truncation(context)

    @property
    def vocab_size(self) -> int:
        """One more than the greatest id."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    def __call__(self, captions: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """(ids (B,L) int32, mask (B,L) bool); the mask of a caption without a single piece is all False."""
        captions = [encodable(self._clean(caption) if self._clean else caption) for caption in captions]
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(captions)]
        return padded([row if len(row) > self._specials else [] for row in rows], self.context, self.pad_id)


class Tokenizer(LibraryTokenizer):
    """The tokenizer of a file.

    Args:
        name: path of a `tokenizer.json`, or "emoji" or "emoji-multilingual" for those that ship.
        context: number of ids a caption, L; longer ones are cut, but the end token that the file adds stays.

    Raises:
        UserError: the file is missing or no tokenizer.
    """

    def __init__(self, name: str, context: int):
        import tokenizers

        path = Path(__file__).parents[1] / "emoji" / SHIPPED[name] if name in SHIPPED else Path(name)
        try:
            tokenizer = tokenizers.Tokenizer.from_str(path.read_text("utf-8"))
        except Exception as error:  # `tokenizers` raises bare Exception
            known = ", ".join([*SHIPPED, "clip", "siglip:PATH", "siglip2:PATH", "sentencepiece:PATH", "bytes"])
            remedy = f"give the path of a tokenizer.json, or one of {known}"
            raise UserError(f"no tokenizer: {error}", where=str(path), remedy=remedy) from error
        super().__init__(tokenizer, context, _find_pad(tokenizer))


def _find_pad(tokenizer) -> int:
    if tokenizer.padding:
        return tokenizer.padding["pad_id"]
    ids = [tokenizer.token_to_id(token) for token in PAD_TOKENS]
    return next((number for number in ids if number is not None), 0)
