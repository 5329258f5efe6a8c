"""X-CLIP: frames that send each other messages.

Parameters: those of `Video`, so an image tower's weights are this tower's; and in every block, W = width:

    message_projection/{kernel,bias}            (W, W), (W,)
    message_norm/..., message_attention/...     as attention_norm and attention
    message_scale                               (W,), with layer_scale
"""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.attention import Attention, attention_bias
from mmjax.encoders.blocks import Block
from mmjax.encoders.layers import Dense
from mmjax.encoders.video import Video
from mmjax.errors import UserError
from mmjax.rng import fold_keys


class XCLIP(Video):
    """X-CLIP's video encoder (Ni et al. 2022, arXiv 2208.02816): videos (B, F, H, W, C) to `Features`.

    In every block each frame sends a message, made of its class token, to the others; it sees what came of its own as
    one more token. Temporal blocks behind it are the paper's multi-frame integration transformer. All other options are
    `ViT`'s.

    Attributes:
        frames: greatest number of frames that temporal positions are for.
        temporal_depth: number of transformer blocks over frames behind the image encoder.
        temporal_heads: their number of attention heads; 0 takes heads.
    """

    temporal_depth: int = 1

    def __post_init__(self):
        super().__post_init__()
        if self.pool != "cls":
            raise UserError(f"XCLIP.pool is {self.pool!r}", remedy="use 'cls': messages are made of the class token")

    def _blocks(self, x, mask) -> dict:
        return {"block": CrossFrameBlock, "frames": x.shape[1], "bias": attention_bias(mask)}


class CrossFrameBlock(Block):
    """A block of frames in whose attention there is a message token, made of all frames of the video.

    Attributes:
        spec: the options of all blocks.
        frames: number of frames F of a video.
    """

    frames: int = 1

    @nn.compact
    def __call__(self, x, layer, bias=None, keys=None):
        """x (B F, N, width), bias (B, 1, 1, F) of the frames or None, keys (B F,); all else as of `Block`."""
        s = self.spec
        message = Dense(s.width, dtype=s.dtype, name="message_projection")(x[:, 0]).reshape(-1, self.frames, s.width)
        video_keys = None if keys is None else fold_keys(keys.reshape(-1, self.frames)[:, 0], layer)
        y = s.make_norm("message_norm")(message)
        y = Attention(s, (2 * s.depth) ** -0.5, name="message_attention")(y, y, bias)
        message = message + self._branch("message", y, layer, video_keys)
        x, _ = super().__call__(jnp.concatenate([x, message.reshape(-1, 1, s.width)], axis=1), layer, None, keys)
        return x[:, :-1], None
