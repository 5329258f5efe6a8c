"""Text by its bytes or characters: embedded, merged a few to one by a convolution, then a transformer.

Parameters, W = width, s = stride:

    token_embedding                   (vocab_size, W)
    stem/{kernel,bias}                (2 s * W, W), with stride above 1
    class_embedding                   (W,), with pool "cls"
    position_embedding                (ceil(context / s), W); no position for the class token
    blocks/..., norm/..., pool/...    see blocks.py and pooling.py
"""

import flax.linen as nn

from mmjax.encoders.conv import Conv1d, zero_padding
from mmjax.encoders.features import Features
from mmjax.encoders.text import check_ids, embed_ids
from mmjax.encoders.trunk import Transformer, encode_tokens
from mmjax.errors import UserError


class Characters(Transformer):
    """A transformer over short runs of bytes: ids (B, L) to `Features`.

    A convolution of stride `stride` makes attention over a text as cheap as over pieces of that many bytes (CANINE,
    Clark et al. 2022, arXiv 2103.06874).

    Attributes:
        vocab_size: number of ids, for bytes 256 and the special ones.
        context: greatest length of a text in ids.
        stride: ids merged to a token; 1 for a token each.
        pad_id: id of padding, which makes the mask where the batch brings none.
    """

    width: int = 512
    heads: int = 8
    vocab_size: int = 259
    context: int = 256
    stride: int = 4
    pad_id: int = 0

    def __post_init__(self):
        super().__post_init__()
        if min(self.vocab_size, self.context, self.stride) < 1:
            raise UserError("Characters has a size that is not positive", remedy="give positive sizes")

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of texts.

        Args:
            x: (B, L) integer ids, L <= context. An id past the vocabulary gives NaN.
            mask: (B, L) bool, True for real ids, which come first; None: those that are not pad_id.
            keys: (B,) per-example keys in training, or None.

        Returns:
            Tokens of ceil(L / stride) runs; a run is real if its first id is.

        Raises:
            UserError: if x is no integer array of two axes, or longer than `context`.
        """
        check_ids(self, x)
        mask = x != self.pad_id if mask is None else mask
        tokens = zero_padding(embed_ids(self, x), mask)
        if self.stride > 1:
            size = {"kernel_size": 2 * self.stride, "stride": self.stride}
            tokens = Conv1d(self.width, dtype=self.dtype, **size, name="stem")(tokens)
        tokens = self._positioned(tokens, -(-self.context // self.stride))
        return encode_tokens(self, tokens, self._class_token(), mask=mask[:, :: self.stride], keys=keys)
