"""An audio transformer behind a convolutional front end, as Whisper's encoder.

Parameters, W = width, M = n_mels:

    stem/conv_0/{kernel,bias}         (3 * M, W), (W,): a step's bands before the next step's
    stem/conv_1/{kernel,bias}         (3 * W, W), (W,)
    class_embedding                   (W,), with pool "cls"
    position_embedding                (frames / 2, W); none of the class token
    blocks/..., norm/..., pool/...    see blocks.py and pooling.py
"""

import flax.linen as nn

from mmjax.encoders.activations import ACTIVATIONS
from mmjax.encoders.audio import AudioTransformer, before
from mmjax.encoders.conv import Conv1d, zero_padding
from mmjax.encoders.features import Features
from mmjax.encoders.trunk import encode_tokens


class ConvAudio(AudioTransformer):
    """A transformer behind two convolutions, the second of stride 2, as Whisper's: waveforms (B, T) to `Features`.

    Radford et al. 2022, arXiv 2212.04356, section 2.2; its positions are learned, not sinusoids.
    """

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of waveforms, a token for two frames; arguments and errors as of `AST`."""
        mel, lengths = self._spectrogram(x, mask, keys)
        tokens = ConvStem(self.width, self.act, self.dtype, name="stem")(mel, lengths)
        tokens = self._positioned(tokens, (self.frames + 1) // 2)
        token_mask = None if mask is None else before(tokens.shape[1], (lengths + 1) // 2)
        return encode_tokens(self, tokens, self._class_token(), mask=token_mask, keys=keys)


class ConvStem(nn.Module):
    """Two convolutions of three steps, the second of stride 2, each with the activation behind it.

    Attributes:
        width: number of outputs.
        act: activation.
        dtype: dtype of activations.
    """

    width: int
    act: str
    dtype: str

    @nn.compact
    def __call__(self, x, lengths):
        """x (B, T, C), zeros past `lengths` (B,) -> (B, ceil(T / 2), width)."""
        act = ACTIVATIONS["gelu" if self.act == "swiglu" else self.act]
        x = act(Conv1d(self.width, dtype=self.dtype, name="conv_0")(x))
        x = zero_padding(x, before(x.shape[1], lengths))
        return act(Conv1d(self.width, stride=2, dtype=self.dtype, name="conv_1")(x))
