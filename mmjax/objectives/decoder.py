"""A transformer decoder that looks at another modality: what captioners and text-guided image decoders are made of.

Parameters, W = width, V = width of the tokens looked at:

    blocks/... or blocks_0/...        as in encoders/blocks.py, and
      cross_norm/{scale,bias}         (W,)
      cross_attention/...             query and out (W, W), key and value (V, W)
    norm/{scale,bias}                 (W,)
    pool/probe                        (queries, W), with `queries`
    pool/attention/...                query and out (W, W), key and value (V, W)
"""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.attention import Attention, attention_bias
from mmjax.encoders.blocks import MLP, apply_blocks
from mmjax.encoders.options import check_choice, check_multiple
from mmjax.encoders.spec import REMAT, Spec
from mmjax.losses.masked import all_present, only_present
from mmjax.mesh import split_by_rows
from mmjax.objectives.wiring import vectors_of


class DecoderOptions(nn.Module):
    """The options of objectives with a decoder, as wide as the tokens that it decodes.

    Attributes:
        depth: blocks of the decoder.
        heads: attention heads of the decoder.
        mlp_ratio: hidden units of the decoder's MLPs as a multiple of its width.
        scan: whether blocks are one scanned block, which compiles faster and runs about as fast.
        remat: what backward keeps. none: all; full: a block's input; dots: and products with parameters; all_dots.
    """

    depth: int = 1
    heads: int = 4
    mlp_ratio: float = 4.0
    scan: bool = False
    remat: str = "none"

    def spec(self, tokens) -> Spec:
        """The options of blocks for `tokens` (B, N, W), in their dtype; UserError if heads do not divide W."""
        width = tokens.shape[-1]
        check_multiple(f"{type(self).__name__}: width of the tokens", width, self.heads, "heads")
        norm = {"norm": "layer", "norm_eps": 1e-6, "qk_norm": False, "layer_scale": 0.0}
        sizes = {"width": width, "depth": self.depth, "heads": self.heads, "mlp_dim": round(width * self.mlp_ratio)}
        how = {"scan": self.scan, "remat": self.remat, "dtype": str(tokens.dtype)}
        check_choice(f"{type(self).__name__}.remat", self.remat, REMAT)
        return Spec(**sizes, **norm, **how, act="gelu", dropout=0.0, drop_path=0.0)


class CrossBlock(nn.Module):
    """x + attention(norm(x)), then x + attention of norm(x) to the other modality, then x + mlp(norm(x)).

    Attributes:
        spec: the options of all blocks.
    """

    spec: Spec

    @nn.compact
    def __call__(self, x, layer, context, keys=None):
        """x (B, N, W), layer () its index, context (bias, others (B, M, V), their bias) -> (x, None)."""
        s, x = self.spec, split_by_rows(x)
        bias, others, others_bias = context
        gain = (3 * s.depth) ** -0.5  # three branches in each of depth blocks add up
        y = s.make_norm("attention_norm")(x)
        x = x + Attention(s, gain, name="attention")(y, y, bias)
        y = s.make_norm("cross_norm")(x)
        x = x + Attention(s, gain, name="cross_attention")(y, others, others_bias)
        return x + MLP(s, gain, name="mlp")(s.make_norm("mlp_norm")(x)), None


class Decoder(nn.Module):
    """Tokens that look at one another and at those of another modality.

    Attributes:
        spec: the options of its blocks.
        causal: whether a token sees only itself and earlier ones of its own modality.
        queries: learned queries that gather the other modality's tokens first (CoCa's attentional pooler); 0: none.
    """

    spec: Spec
    causal: bool = False
    queries: int = 0

    @nn.compact
    def __call__(self, x, others, others_mask=None):
        """x (B, N, W), others (B, M, V), others_mask (B, M) bool or None -> (B, N, W)."""
        others = others.astype(x.dtype)
        if self.queries:
            others, others_mask = QueryPool(self.spec, self.queries, name="pool")(others, others_mask), None
        bias = attention_bias(causal_length=x.shape[1] if self.causal else 0)
        x = apply_blocks(self.spec, x, (bias, others, attention_bias(others_mask)), block=CrossBlock)
        return self.spec.make_norm("norm")(x)


class QueryPool(nn.Module):
    """Many tokens gathered by attention of learned queries: CoCa's attentional pooler (arXiv 2205.01917, section 3.2).

    Attributes:
        spec: width, heads, norms and dtype.
        queries: number of tokens that come out.
    """

    spec: Spec
    queries: int

    @nn.compact
    def __call__(self, tokens, mask=None):
        """tokens (B, M, V), mask (B, M) bool or None -> (B, queries, width)."""
        s = self.spec
        probe = self.param("probe", nn.initializers.normal(s.width**-0.5), (self.queries, s.width)).astype(s.dtype)
        probe = jnp.broadcast_to(probe[None], (len(tokens), *probe.shape))
        tokens = s.make_norm("norm")(tokens)
        return Attention(s, name="attention")(probe, tokens, attention_bias(mask))


def tokens_of(stream: str, features, batch):
    """Tokens (B, N, D), zero where absent, their mask (B, N) or None, and which rows are there (B,) bool.

    Raises:
        ValueError: if there is no such stream, or its tower makes no tokens.
    """
    vectors_of((stream,), features, batch)
    tokens, mask = features[stream].tokens, features[stream].mask
    if tokens is None:
        raise ValueError(f"the tower of {stream!r} makes no tokens: use one such as vit or text")
    present = all_present(batch.get(f"{stream}_present"), len(tokens))
    return only_present(tokens, present), mask, present
