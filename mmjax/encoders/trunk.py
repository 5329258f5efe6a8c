"""The options that all transformer encoders share, and the road from tokens to features, which most take."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.attention import attention_bias
from mmjax.encoders.blocks import Block, apply_blocks
from mmjax.encoders.features import Features
from mmjax.encoders.layers import dropout, keys_for
from mmjax.encoders.options import check_choice
from mmjax.encoders.pooling import MapPool, mean_pool
from mmjax.encoders.positions import add_positions
from mmjax.encoders.spec import Spec
from mmjax.errors import UserError


class Transformer(nn.Module):
    """The options of a transformer over tokens of any kind; encoders add how tokens are made.

    Attributes:
        width: width of the residual stream.
        depth: number of transformer blocks; 0 leaves the embedded tokens as they are.
        heads: number of attention heads.
        mlp_ratio: hidden units of the MLP as a multiple of width.
        mlp_dim: hidden units of the MLP; 0 takes mlp_ratio.
        pre_norm: whether the tokens are normed before the blocks (those of CLIP's ViT are).
        pool: cls: a class token; mean: mean of the real tokens; map: attention by a learned probe (SigLIP).
        act: gelu (exact), gelu_tanh, quick_gelu (OpenAI's weights) or swiglu (gated; mlp_dim units each way).
        norm: layer or rms.
        norm_eps: added to the mean square in norms (CLIP 1e-5, SigLIP 1e-6).
        qk_norm: whether each head's queries and keys are normed.
        layer_scale: initial value of learned scales of residual branches; 0 for none.
        dropout: rate of zeros in the embeddings and in the outputs of residual branches.
        drop_path: rate of skipping a residual branch in the last block, from 0 in the first linearly.
        scan: whether blocks are one scanned block, which compiles faster and runs about as fast.
        remat: what backward keeps. none: all; full: a block's input; dots: and products with parameters; all_dots.
        dtype: dtype of activations, float32 or bfloat16.
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_ratio: float = 4.0
    mlp_dim: int = 0
    pre_norm: bool = False
    pool: str = "cls"
    act: str = "gelu"
    norm: str = "layer"
    norm_eps: float = 1e-6
    qk_norm: bool = False
    layer_scale: float = 0.0
    dropout: float = 0.0
    drop_path: float = 0.0
    scan: bool = False
    remat: str = "none"
    dtype: str = "float32"

    pools = ("cls", "mean", "map")

    def __post_init__(self):
        super().__post_init__()
        Spec.of(self)
        check_choice(f"{type(self).__name__}.pool", self.pool, self.pools)

    def _class_token(self):
        """The class token (1, 1, W), or None; learned positions are the other tokens' alone."""
        if self.pool != "cls":
            return None
        initial = nn.initializers.normal(self.width**-0.5)
        return self.param("class_embedding", initial, (self.width,)).astype(self.dtype)[None, None]

    def _positioned(self, tokens, places: int):
        """tokens (B, N, W) with the first N of `places` learned positions added, so that padding moves none.

        Raises:
            UserError: if N is more than `places`.
        """
        n = tokens.shape[1]
        if n > places:
            raise UserError(
                f"{type(self).__name__} has positions for {places} tokens, and the input makes {n}",
                remedy="give shorter inputs, or a larger tower: options length, frames or context",
            )
        table = self.param("position_embedding", nn.initializers.normal(self.width**-0.5), (places, self.width))
        return add_positions(tokens, table[:n])


def encode_tokens(encoder, tokens, class_token=None, *, mask=None, keys=None, bias=None, block=Block, **fields):
    """`Features` of tokens through the blocks of `encoder`, whose submodules they become.

    Args:
        encoder: a module with the options of `Transformer`, inside whose compact method this is called.
        tokens: (B, N, W), positions added.
        class_token: (1, 1, W), which is put first, or None.
        mask: (B, N) bool, True for real tokens, or None for all.
        keys: (B,) per-example keys in training, or None.
        bias: what the blocks are given in place of the attention bias made of `mask`.
        block: class of a block.
        **fields: further fields of the blocks.
    """
    spec = Spec.of(encoder)
    if bias is None:
        bias = attention_bias(mask if class_token is None else with_class(mask))
    if class_token is not None:
        tokens = jnp.concatenate([jnp.broadcast_to(class_token, (len(tokens), 1, spec.width)), tokens], axis=1)
    if encoder.pre_norm:
        tokens = spec.make_norm("pre_norm")(tokens)
    tokens = dropout(tokens, spec.dropout, keys_for(keys, "embedding"))
    tokens = apply_blocks(spec, tokens, bias, keys, block=block, **fields)
    return pool_tokens(encoder.pool, spec, spec.make_norm("norm")(tokens), mask)


def with_class(mask):
    """A (B, N) mask or None with a real class token before the others: (B, N + 1) or None."""
    return None if mask is None else jnp.pad(mask, ((0, 0), (1, 0)), constant_values=True)


def pool_tokens(pool: str, spec: Spec, tokens, mask):
    """`Features` of the tokens after the last norm, with pool "cls" (B, N + 1, W), else (B, N, W)."""
    if pool == "cls":
        pooled, tokens = tokens[:, 0], tokens[:, 1:]
    elif pool == "mean":
        pooled = mean_pool(tokens, mask)
    else:
        pooled = MapPool(spec, name="pool")(tokens, mask)
    return Features(pooled.astype(jnp.float32), tokens, mask)
