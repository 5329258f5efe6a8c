"""Pre-norm transformer blocks, one by one or scanned over a stacked layer axis.

Parameters of an encoder's blocks, W = width, M = mlp_dim, d = width / heads:

    blocks/attention_norm/{scale,bias}              (W,)
    blocks/attention/{query,key,value}/kernel       (W, W), outputs ordered (heads, d)
    blocks/attention/{query,key,value}/bias         (W,)
    blocks/attention/{query_norm,key_norm}/{scale,bias}  (d,), with qk_norm
    blocks/attention/out/kernel                     (W, W), inputs ordered (heads, d)
    blocks/attention/out/bias                       (W,)
    blocks/mlp_norm/{scale,bias}                    (W,)
    blocks/mlp/{up,gate}/{kernel,bias}              (W, M), (M,); gate with "swiglu" only
    blocks/mlp/down/{kernel,bias}                   (M, W), (W,)
    blocks/{attention_scale,mlp_scale}              (W,), with layer_scale

RMS norms have no bias. With `scan` every parameter has a leading axis of layers; without it the layers are `blocks_0`,
`blocks_1`, ... (`stack_blocks` and `unstack_blocks` convert). Query, key and value are apart, and heads lie one after
another: a `tensor` mesh axis that divides `heads` splits outputs of query, key, value, up and gate and inputs of
out and down with no communication between.
"""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.activations import ACTIVATIONS
from mmjax.encoders.attention import Attention
from mmjax.encoders.layers import Dense, along_last, drop_path, dropout, keys_for
from mmjax.encoders.spec import REMAT, Spec
from mmjax.mesh import split_by_rows
from mmjax.rng import fold_keys


class MLP(nn.Module):
    """down(act(up(x))), or with "swiglu" down(silu(gate(x)) * up(x)).

    Attributes:
        spec: width, mlp_dim, act and dtype.
        gain: scale of the initial output projection.
    """

    spec: Spec
    gain: float = 1.0

    @nn.compact
    def __call__(self, x):
        """x (..., width) -> (..., width)."""
        s = self.spec
        act, up = ACTIVATIONS[s.act], Dense(s.mlp_dim, dtype=s.dtype, name="up")(x)
        hidden = act(Dense(s.mlp_dim, dtype=s.dtype, name="gate")(x)) * up if s.act == "swiglu" else act(up)
        return Dense(s.width, gain=self.gain, dtype=s.dtype, name="down")(hidden)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    Attributes:
        spec: the options of all blocks.
    """

    spec: Spec

    @nn.compact
    def __call__(self, x, layer, bias=None, keys=None):
        """x (B, N, width), layer () int32 its index, bias as for `attend` -> (x, None), as a scan wants it."""
        s, x = self.spec, split_by_rows(x)
        keys = None if keys is None else fold_keys(keys, layer)
        # Outputs of 2 x depth branches add up: so scaled, the sum keeps its variance (Radford et al. 2019, CLIP).
        gain = (2 * s.depth) ** -0.5
        y = s.make_norm("attention_norm")(x)
        x = x + self._branch("attention", Attention(s, gain, name="attention")(y, y, bias), layer, keys)
        y = s.make_norm("mlp_norm")(x)
        return x + self._branch("mlp", MLP(s, gain, name="mlp")(y), layer, keys), None

    def _branch(self, name, y, layer, keys):
        """The output y of a branch after layer scale (Touvron et al. 2021, arXiv 2103.17239), dropout, drop path."""
        s = self.spec
        if s.layer_scale:
            y = y * along_last(self.param(f"{name}_scale", nn.initializers.constant(s.layer_scale), (s.width,)), y)
        y = dropout(y, s.dropout, keys_for(keys, f"{name}_dropout"))
        if s.drop_path:
            rate = layer.astype(jnp.float32) * (s.drop_path / max(s.depth - 1, 1))
            y = drop_path(y, rate, keys_for(keys, f"{name}_drop_path"))
        return y


def apply_blocks(spec: Spec, x, bias=None, keys=None, *, block=Block, **fields):
    """x (B, N, width) through `depth` blocks that become submodules of the module this is called in.

    Args:
        spec: the options.
        x: (B, N, width).
        bias: as for `attend`.
        keys: (B,) per-example keys, or None.
        block: class of a block, `Block` or one called like it.
        **fields: what a block of that class has besides the options.
    """
    if spec.remat != "none":
        block = nn.remat(block, prevent_cse=not spec.scan, policy=REMAT[spec.remat])
    if spec.scan and spec.depth:
        axes = (0, nn.broadcast, nn.broadcast)
        scanned = nn.scan(block, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=axes)
        return scanned(spec, **fields, name="blocks")(x, jnp.arange(spec.depth), bias, keys)[0]
    for layer in range(spec.depth):
        x, _ = block(spec, **fields, name=f"blocks_{layer}")(x, jnp.int32(layer), bias, keys)
    return x
