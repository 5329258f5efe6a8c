"""Captions as their UTF-8 bytes."""

import numpy as np

from mmjax.data.tokenizers import check_context, padded

END, FIRST_BYTE = 1, 3


class ByteTokenizer:
    """Callable: captions -> (ids, mask). Ids of ByT5 (Xue et al. 2021, arXiv 2105.13626): byte b is b + 3, each
    caption ends with 1, and 0 is padding.

    Args:
        context: number of ids a caption, L.
    """

    pad_id = 0
    vocab_size = FIRST_BYTE + 256

    def __init__(self, context: int):
        check_context(context, 1)
        self.context = context

    def __call__(self, captions: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """(ids (B,L) int32, mask (B,L) bool); the mask of an empty caption is all False."""
        return padded(
            [self._encode(caption.encode(errors="replace")) for caption in captions], self.context, self.pad_id
        )

    def _encode(self, text: bytes) -> list[int]:
        return [byte + FIRST_BYTE for byte in text[: self.context - 1]] + [END] if text else []
