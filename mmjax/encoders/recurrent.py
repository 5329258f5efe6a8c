"""Text by a gated recurrent unit, the sentence encoder of VSE++ (Faghri et al. 2018, arXiv 1707.05612).

Parameters, W = width, layer i = 0 .. depth - 1:

    token_embedding                             (vocab_size, W)
    input_hidden_i/{kernel,bias}                (W, 3 W), (3 W,): reset gate, update gate, new state
    state_hidden_i/{kernel,bias}                likewise, of the state
    norm/{scale,bias}                           (W,)
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders.features import Features
from mmjax.encoders.layers import DTYPES, Dense, Weights, dropout, keys_for
from mmjax.encoders.norms import NORMS, Norm
from mmjax.encoders.options import check_choice, check_rates
from mmjax.encoders.text import check_ids, embed_ids
from mmjax.errors import UserError
from mmjax.mesh import split_by_rows


class GRU(nn.Module):
    """A gated recurrent unit (Cho et al. 2014, arXiv 1406.1078): token ids (B, L) to `Features` of the last state.

    Attributes:
        vocab_size: number of token ids.
        context: greatest length of a text in tokens.
        width: width of embedding and state.
        depth: number of layers.
        pad_id: id of padding, which makes the mask where the batch brings none.
        norm: layer or rms, of the states of the last layer.
        norm_eps: added to the mean square in norms.
        dropout: rate of zeros in what a layer takes in.
        dtype: dtype of activations, float32 or bfloat16; states are float32.
    """

    vocab_size: int = 49408
    context: int = 77
    width: int = 512
    depth: int = 1
    pad_id: int = 0
    norm: str = "layer"
    norm_eps: float = 1e-6
    dropout: float = 0.0
    dtype: str = "float32"

    def __post_init__(self):
        super().__post_init__()
        check_choice("GRU.norm", self.norm, NORMS)
        check_choice("GRU.dtype", self.dtype, DTYPES)
        check_rates("GRU", dropout=self.dropout)
        if min(self.vocab_size, self.context, self.width, self.depth) < 1:
            raise UserError("GRU has a size that is not positive", remedy="give positive sizes")

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of texts.

        Args:
            x: (B, L) integer token ids, L <= context. An id past the vocabulary gives NaN.
            mask: (B, L) bool, True for real tokens; None: those that are not pad_id.
            keys: (B,) per-example keys in training, or None.

        Returns:
            Tokens of the states after each token; pooled is the state after the last real one.

        Raises:
            UserError: if x is no integer array of two axes, or longer than `context`.
        """
        check_ids(self, x)
        mask = x != self.pad_id if mask is None else mask
        states = split_by_rows(embed_ids(self, x))
        for i in range(self.depth):
            y = dropout(states, self.dropout, keys_for(keys, f"layer_{i}"))
            inputs = split_by_rows(Dense(3 * self.width, dtype=self.dtype, name=f"input_hidden_{i}")(y))
            kernel, bias = Weights(3 * self.width, name=f"state_hidden_{i}")(self.width)
            states = gru(inputs, mask, kernel.astype(self.dtype), bias).astype(self.dtype)
        states = Norm(self.norm, self.norm_eps, self.dtype, name="norm")(states)
        return Features(states[:, -1].astype(jnp.float32), states, mask)


def gru(inputs, mask, kernel, bias):
    """The states (B, L, W) float32 of a gated recurrent unit that starts from zeros, as torch.nn.GRU's.

    r = sigmoid(x_r + h_r), z = sigmoid(x_z + h_z), n = tanh(x_n + r * h_n), h <- (1 - z) * n + z * h.

    Args:
        inputs: (B, L, 3 W), the x of the formula, with their bias.
        mask: (B, L) bool; where False, the state stays.
        kernel, bias: (W, 3 W), (3 W,), which make the h of the formula from the state.
    """

    def step(state, given):
        x, real = given
        h = jnp.dot(state.astype(kernel.dtype), kernel, preferred_element_type=jnp.float32) + bias[None]
        x_reset, x_update, x_new = jnp.split(x.astype(jnp.float32), 3, axis=-1)
        h_reset, h_update, h_new = jnp.split(h, 3, axis=-1)
        update = jax.nn.sigmoid(x_update + h_update)
        new = jnp.tanh(x_new + jax.nn.sigmoid(x_reset + h_reset) * h_new)
        state = jnp.where(real[:, None], (1 - update) * new + update * state, state)
        return state, state

    initial = jnp.zeros((len(inputs), kernel.shape[0]), jnp.float32)
    return jax.lax.scan(step, initial, (inputs.swapaxes(0, 1), mask.swapaxes(0, 1)))[1].swapaxes(0, 1)
