"""Divided attention over space and time by a ViT's weights (Frozen in Time, Bain et al. 2021, arXiv 2104.00650).

Parameters: those of `ViT` under the same names, so an image tower's weights are this tower's; and

    frame_position_embedding                    (frames, W), zeros at first
    blocks/time_norm, blocks/time_attention     as attention_norm and attention, the output's kernel zeros at first
"""

import functools

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.attention import Attention, attend
from mmjax.encoders.blocks import MLP, Block
from mmjax.encoders.features import Features
from mmjax.encoders.layers import keys_for
from mmjax.encoders.trunk import encode_tokens
from mmjax.encoders.video import check_frames, frame_positions
from mmjax.encoders.vit import ViT, kept_patches, take
from mmjax.errors import UserError
from mmjax.mesh import split_by_rows
from mmjax.rng import fold_keys


class SpaceTime(ViT):
    """The space-time transformer of Frozen in Time: videos (B, F, H, W, C) to `Features`.

    A patch attends to the same place in all frames, then to its own frame; the class token to everything. At first,
    attention over time adds nothing, so a video of one frame has the features of the picture; with a pool other than
    cls so has one of equal frames (the class token looks at itself once and at every frame). `patch_dropout` leaves
    out the same places in all frames. All other options are `ViT`'s.

    Attributes:
        frames: greatest number of frames that temporal positions are for.
    """

    frames: int = 8

    def __post_init__(self):
        super().__post_init__()
        if self.frames < 1:
            raise UserError(f"SpaceTime has {self.frames} frames", remedy="give at least 1")

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of videos.

        Args:
            x: (B, F, H, W, C), uint8, or float that is normalised already.
            mask: (B, F) bool, True for real frames; None: all are.
            keys: (B,) per-example keys in training, or None.

        Returns:
            Tokens of all patches, frame by frame.

        Raises:
            UserError: if the shape of x does not fit, or F is more than `frames`.
        """
        check_frames(self, x)
        batch, frames = x.shape[:2]
        tokens, class_token = self._embedded(x.reshape(-1, *x.shape[2:]))
        tokens = tokens.reshape(batch, frames, -1, self.width)
        positions = frame_positions(self, self.frames, tokens.shape, nn.initializers.zeros)
        tokens = tokens + positions.astype(tokens.dtype)[None, :, None]
        if keys is not None and self.patch_dropout:
            kept = kept_patches(keys_for(keys, "patch_dropout"), tokens.shape[2], self.patch_dropout)
            tokens = take(tokens.swapaxes(1, 2), kept).swapaxes(1, 2)
        mask = None if mask is None else jnp.repeat(mask, tokens.shape[2], axis=1)
        tokens = tokens.reshape(batch, -1, self.width)
        fields = {"frames": frames, "first": int(class_token is not None)}
        return encode_tokens(self, tokens, class_token, mask=mask, keys=keys, block=SpaceTimeBlock, **fields)


class SpaceTimeBlock(Block):
    """y = x + time_attention(norm(x)), then x + attention(norm(y)), then x + mlp(norm(x)), as the paper's code has it.

    Attributes:
        spec: the options of all blocks.
        frames: number of frames F of a video.
        first: number of tokens before the patches that see, and are seen by, all others.
    """

    frames: int = 1
    first: int = 0

    @nn.compact
    def __call__(self, x, layer, bias=None, keys=None):
        """x (B, first + F N, width), patches frame by frame; all else as of `Block`."""
        s, x = self.spec, split_by_rows(x)
        keys = None if keys is None else fold_keys(keys, layer)
        gain = (2 * s.depth) ** -0.5
        over_time, over_space = (
            functools.partial(attend_divided, frames=self.frames, first=self.first, over=over)
            for over in ("time", "space")
        )
        y = s.make_norm("time_norm")(x)
        y = x + Attention(s, 0.0, name="time_attention")(y, y, bias, over_time)
        y = s.make_norm("attention_norm")(y)
        x = x + self._branch("attention", Attention(s, gain, name="attention")(y, y, bias, over_space), layer, keys)
        y = s.make_norm("mlp_norm")(x)
        return x + self._branch("mlp", MLP(s, gain, name="mlp")(y), layer, keys), None


def attend_divided(query, key, value, bias=None, *, frames: int, first: int, over: str):
    """`attend` in groups: patches of the same place ("time") or of the same frame ("space").

    Args:
        query, key, value: (B, first + F N, heads, d), patches frame by frame.
        bias: None or (B, 1, 1, first + F N), the same for all patches of a frame.
        frames: F.
        first: number of tokens before the patches: they attend to all, and all groups to them.
        over: "time" or "space".

    Returns:
        (B, first + F N, heads, d).
    """
    places = (query.shape[1] - first) // frames
    groups = places if over == "time" else frames

    def grouped(x):
        x = x[:, first:].reshape(len(x), frames, places, *x.shape[2:])
        x = x.swapaxes(1, 2) if over == "time" else x
        return x.reshape(-1, *x.shape[2:])

    def with_first(x):
        return jnp.concatenate([jnp.repeat(x[:, :first], groups, axis=0), grouped(x)], axis=1)

    # A frame that is not real is nothing to a patch of another; among its own patches it does no harm.
    group_bias = None
    if bias is not None and over == "time":
        group_bias = jnp.concatenate([bias[..., :first], bias[..., first::places]], axis=-1)
        group_bias = jnp.repeat(group_bias, groups, axis=0)
    y = attend(grouped(query), with_first(key), with_first(value), group_bias)
    y = y.reshape(len(query), groups, -1, *y.shape[2:])
    y = (y.swapaxes(1, 2) if over == "time" else y).reshape(len(query), -1, *y.shape[3:])
    return jnp.concatenate([attend(query[:, :first], key, value, bias), y], axis=1) if first else y
