"""Captions to token ids by any `tokenizer.json` (https://huggingface.co/docs/tokenizers)."""

import os
from pathlib import Path

import numpy as np

from mmjax.errors import UserError

SHIPPED = {"emoji": "tokenizer.json", "emoji-multilingual": "tokenizer-multilingual.json"}
PAD_TOKENS = ("<pad>", "[PAD]", "<|padding|>", "<|endoftext|>", "</s>")


class Tokenizer:
    """Callable: captions -> (ids, mask).

    Args:
        name: path of a `tokenizer.json`, or "emoji" or "emoji-multilingual" for those that ship.
        context: number of ids a caption, L; longer ones are cut, but the end token that the file adds stays.

    Raises:
        UserError: the file is missing or no tokenizer.
    """

    def __init__(self, name: str, context: int):
        import tokenizers

        # Its own threads would take the cores from the step, and warn in every worker process.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        path = Path(__file__).with_name("emoji") / SHIPPED[name] if name in SHIPPED else Path(name)
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(path.read_text("utf-8"))
        except Exception as error:  # `tokenizers` raises bare Exception
            raise UserError(
                f"no tokenizer: {error}", where=str(path), remedy='give a tokenizer.json, or "emoji"'
            ) from error
        self.context = context
        self.pad_id = self._find_pad()
        self._specials = self._tokenizer.num_special_tokens_to_add(False)
        if context <= self._specials:
            raise UserError(f"{context} ids leave no room for a word", where="config.data.context", remedy="raise it")
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(context)

    def _find_pad(self) -> int:
        if self._tokenizer.padding:
            return self._tokenizer.padding["pad_id"]
        ids = [self._tokenizer.token_to_id(token) for token in PAD_TOKENS]
        return next((number for number in ids if number is not None), 0)

    @property
    def vocab_size(self) -> int:
        """One more than the greatest id."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    def __call__(self, captions: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """(ids (B,L) int32, mask (B,L) bool); the mask of a caption without a single piece is all False."""
        ids = np.full((len(captions), self.context), self.pad_id, np.int32)
        lengths = np.zeros(len(captions), np.int64)
        for row, encoding in enumerate(self._tokenizer.encode_batch_fast(captions)):
            found = encoding.ids
            if len(found) > self._specials:
                lengths[row] = len(found)
                ids[row, : len(found)] = found
        return ids, np.arange(self.context) < lengths[:, None]
