"""The text transformer of CLIP (Radford et al. 2021) and SigLIP (Zhai et al. 2023), and what lies between.

Parameters, W = width:

    token_embedding                   (vocab_size, W)
    position_embedding                (context, W), position "learned"
    pre_norm/{scale,bias}             (W,), with pre_norm
    blocks/... or blocks_0/...        see blocks.py
    norm/{scale,bias}                 (W,)
    pool/...                          with pool "map", see pooling.py
    class_embedding                   (W,), with pool "cls"
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders.attention import attention_bias
from mmjax.encoders.blocks import apply_blocks
from mmjax.encoders.features import Features
from mmjax.encoders.layers import dropout, keys_for
from mmjax.encoders.options import check_choice, check_multiple
from mmjax.encoders.pooling import MapPool, first_position, mean_pool
from mmjax.encoders.positions import add_positions, sincos_1d
from mmjax.encoders.spec import Spec
from mmjax.encoders.trunk import Transformer
from mmjax.errors import UserError

POSITIONS = ("learned", "sincos1d", "none")


class TextTransformer(Transformer):
    """Text transformer: token ids (B, L) to `Features`. With depth 0 it is a bag of embedded pieces.

    Attributes:
        vocab_size: number of token ids.
        context: greatest length of a text in tokens.
        causal: whether a token sees only itself and earlier ones (CLIP), or all (SigLIP).
        pool: eot: at the first eot_id (CLIP); last: at the end (SigLIP); mean; map; cls: a token behind (CoCa).
        eot_id: id of the end-of-text token, which pool eot looks for.
        pad_id: id of padding, which makes the mask where the batch brings none.
        mask_padding: whether attention skips padding; CLIP and SigLIP do not.
        position: learned, sincos1d or none.
        frozen_positions: the first so many learned positions stay as they are (Long-CLIP: 20).
    """

    width: int = 512
    heads: int = 8
    vocab_size: int = 49408
    context: int = 77
    causal: bool = True
    pool: str = "eot"
    eot_id: int = 49407
    pad_id: int = 0
    mask_padding: bool = False
    position: str = "learned"
    frozen_positions: int = 0

    pools = ("eot", "last", "mean", "map", "cls")

    def __post_init__(self):
        super().__post_init__()
        check_choice("TextTransformer.position", self.position, POSITIONS)
        if self.position == "sincos1d":
            check_multiple("TextTransformer.width", self.width, 2, "sincos1d's")
        if not 0 <= self.frozen_positions <= self.context:
            raise UserError(
                f"TextTransformer.frozen_positions {self.frozen_positions} of {self.context} positions",
                remedy="give a number of positions, such as Long-CLIP's 20",
            )
        if self.pool == "eot" and not 0 <= self.eot_id < self.vocab_size:
            raise UserError(
                f"TextTransformer.eot_id {self.eot_id} is no id of a vocabulary of {self.vocab_size}",
                remedy="give the tokenizer's end-of-text id, or another pool",
            )

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of texts.

        Args:
            x: (B, L) integer token ids, L <= context. An id past the vocabulary gives NaN.
            mask: (B, L) bool, True for real tokens; None: those that are not pad_id.
            keys: (B,) per-example keys in training, or None.

        Raises:
            UserError: if x is no integer array of two axes, or longer than `context`.
        """
        spec = Spec.of(self)
        check_ids(self, x)
        mask = x != self.pad_id if mask is None else mask
        tokens, seen = self._embedded(x), mask if self.mask_padding else None
        if self.pool == "cls":
            tokens, seen = self._with_class(tokens), jnp.pad(mask, ((0, 0), (0, 1)), constant_values=True)
        bias = attention_bias(seen, causal_length=self.causal * tokens.shape[1])
        if self.pre_norm:
            tokens = spec.make_norm("pre_norm")(tokens)
        tokens = dropout(tokens, self.dropout, keys_for(keys, "embedding"))
        tokens = spec.make_norm("norm")(apply_blocks(spec, tokens, bias, keys))
        return Features(self._pool(spec, tokens, x, mask).astype(jnp.float32), tokens[:, : x.shape[1]], mask)

    def _embedded(self, ids):
        tokens = embed_ids(self, ids)
        if self.position == "learned":
            table = self.param("position_embedding", nn.initializers.normal(0.01), (self.context, self.width))
            if self.frozen_positions:
                frozen = jnp.arange(self.context)[:, None] < self.frozen_positions
                table = jnp.where(frozen, jax.lax.stop_gradient(table), table)
            return add_positions(tokens, table[: ids.shape[1]])
        if self.position == "sincos1d":
            return add_positions(tokens, sincos_1d(ids.shape[1], self.width))
        return tokens

    def _with_class(self, tokens):
        """tokens (B, L, W) and the class token after them; its place is always the same, so it needs no position."""
        token = self.param("class_embedding", nn.initializers.normal(0.02), (self.width,)).astype(tokens.dtype)
        return jnp.concatenate([tokens, jnp.broadcast_to(token, (len(tokens), 1, self.width))], axis=1)

    def _pool(self, spec, tokens, ids, mask):
        if self.pool == "mean":
            return mean_pool(tokens, mask)
        if self.pool == "map":
            return MapPool(spec, name="pool")(tokens, mask)
        if self.pool in ("last", "cls"):
            return tokens[:, -1]
        return jnp.take_along_axis(tokens, first_position(ids, self.eot_id)[:, None, None], axis=1)[:, 0]


def check_ids(encoder, x) -> None:
    """Raise `UserError` unless x is an integer array (B, L) with L at most the encoder's `context`."""
    if x.ndim != 2 or not jnp.issubdtype(x.dtype, jnp.integer) or x.shape[1] > encoder.context:
        raise UserError(
            f"{type(encoder).__name__} cannot take {x.dtype} tokens of shape {x.shape}",
            where=f"context {encoder.context}",
            remedy="give integer ids (B, L) with L at most context, or a larger context",
        )


def embed_ids(encoder, ids):
    """ids (B, L) -> (B, L, W) in the encoder's dtype, by its parameter `token_embedding`; NaN past the vocabulary."""
    table = encoder.param("token_embedding", nn.initializers.normal(0.02), (encoder.vocab_size, encoder.width))
    return jnp.take(table, ids, axis=0, mode="fill").astype(encoder.dtype)
