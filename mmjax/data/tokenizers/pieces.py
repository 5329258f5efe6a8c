"""Captions to token ids by a SentencePiece model (Kudo and Richardson 2018, arXiv 1808.06226)."""

import string
from pathlib import Path

import numpy as np

from mmjax.data.optional import optional
from mmjax.data.tokenizers import check_context, encodable, padded
from mmjax.errors import UserError

WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def canonical(text: str) -> str:
    """SigLIP's form of a caption: underscores to spaces, no ASCII punctuation, lower case, single spaces."""
    return " ".join(text.replace("_", " ").translate(WITHOUT_PUNCTUATION).lower().split())


# What is done to a caption first, and whether padding is the end token or the model's own padding.
FAMILIES = {
    "siglip": (canonical, True),
    "siglip2": (str.lower, False),
    "sentencepiece": (str, False),
}


class SentencePieceTokenizer:
    """Callable: captions -> (ids, mask). No start token, and every caption ends with the model's end token.

    "siglip" (Zhai et al. 2023, arXiv 2303.15343) canonicalises captions and pads with the end token; "siglip2"
    (Tschannen et al. 2025, arXiv 2502.14786) lower-cases them and pads with the model's padding; "sentencepiece"
    leaves them as they are.

    Args:
        family: a name in FAMILIES.
        path: the model's file.
        context: number of ids a caption, L.

    Raises:
        UserError: the file is missing, no model, without an end token, or `sentencepiece` is not installed.
    """

    def __init__(self, family: str, path: str, context: int):
        sentencepiece = optional("sentencepiece", "sentencepiece", "this tokenizer")
        model = sentencepiece.SentencePieceProcessor()
        try:
            model.LoadFromSerializedProto(Path(path).expanduser().read_bytes())
        except (OSError, RuntimeError) as error:
            remedy = "give the path of a SentencePiece model, such as sentencepiece.model"
            raise UserError(f"no tokenizer: {error}", where=path, remedy=remedy) from error
        if model.eos_id() < 0:
            raise UserError("the tokenizer has no end token", where=path, remedy="train it with an eos_id")
        check_context(context, 1)
        self.context, self.vocab_size = context, model.vocab_size()
        self._clean, ends = FAMILIES[family]
        self.pad_id = model.eos_id() if ends else max(model.pad_id(), 0)
        self._model = model

    def __call__(self, captions: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """(ids (B,L) int32, mask (B,L) bool); the mask of a caption without a single piece is all False."""
        rows = self._model.encode([encodable(self._clean(caption)) for caption in captions], num_threads=1)
        end = [self._model.eos_id()]
        return padded([row[: self.context - 1] + end if row else [] for row in rows], self.context, self.pad_id)
