"""Videos by an image encoder on every frame, put together by a mean or by a transformer over frames.

Parameters: those of `ViT` under the same names, so an image tower's weights are a video tower's; with temporal_depth

    temporal/frame_position_embedding           (frames, W)
    temporal/blocks/... or temporal/blocks_0    see blocks.py
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders.attention import attention_bias
from mmjax.encoders.blocks import apply_blocks
from mmjax.encoders.features import Features
from mmjax.encoders.layers import dropout, keys_for
from mmjax.encoders.options import check_multiple
from mmjax.encoders.pooling import mean_pool
from mmjax.encoders.positions import add_positions
from mmjax.encoders.spec import Spec
from mmjax.encoders.vit import ViT
from mmjax.errors import UserError


class Video(ViT):
    """A ViT on every frame: videos (B, F, H, W, C) to `Features` (CLIP4Clip, Luo et al. 2021, arXiv 2104.08860).

    Without temporal blocks the mean of the frames, which no order of frames changes ("meanP"); with them a transformer
    over frames in a residual branch, then the mean ("seqTransf"). It works on features before the projection, the
    paper's on those behind it. All other options are `ViT`'s.

    Attributes:
        frames: greatest number of frames that temporal positions are for.
        temporal_depth: number of transformer blocks over frames; 0 for the mean.
        temporal_heads: their number of attention heads; 0 takes heads.
    """

    frames: int = 8
    temporal_depth: int = 0
    temporal_heads: int = 0

    def __post_init__(self):
        super().__post_init__()
        check_multiple("Video.width", self.width, self.temporal_heads or self.heads, "temporal_heads")
        if self.frames < 1 or self.temporal_depth < 0:
            raise UserError(f"Video has {self.frames} frames and temporal_depth {self.temporal_depth}")

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of videos.

        Args:
            x: (B, F, H, W, C), uint8, or float that is normalised already.
            mask: (B, F) bool, True for real frames; None: all are.
            keys: (B,) per-example keys in training, or None.

        Returns:
            Tokens (B, F, W), one for each frame.

        Raises:
            UserError: if the shape of x does not fit, or F is more than `frames` where frames have positions.
        """
        check_frames(self, x)
        batch, frames = x.shape[:2]
        images = self._encoded(x.reshape(-1, *x.shape[2:]), None, keys_of_frames(keys, frames), **self._blocks(x, mask))
        tokens = images.pooled.reshape(batch, frames, -1).astype(self.dtype)
        if self.temporal_depth:
            spec = dataclasses.replace(
                Spec.of(self), depth=self.temporal_depth, heads=self.temporal_heads or self.heads
            )
            tokens = TemporalTransformer(spec, self.frames, name="temporal")(tokens, mask, keys_for(keys, "temporal"))
        return Features(mean_pool(tokens, mask), tokens, mask)

    def _blocks(self, x, mask) -> dict:
        """What `encode_tokens` is told of the blocks: here nothing, frames do not see one another."""
        return {}


class TemporalTransformer(nn.Module):
    """x + blocks(x + positions) over the frames of a video.

    Attributes:
        spec: options of the blocks.
        frames: number of positions.
    """

    spec: Spec
    frames: int

    @nn.compact
    def __call__(self, x, mask=None, keys=None):
        """x (B, F, W), mask (B, F) bool or None, keys (B,) or None -> (B, F, W)."""
        y = add_positions(x, frame_positions(self, self.frames, x.shape, nn.initializers.normal(1.0)))
        y = dropout(y, self.spec.dropout, keys_for(keys, "embedding"))
        return x + apply_blocks(self.spec, y, attention_bias(mask), keys)


def frame_positions(module, frames: int, shape, initial):
    """The first F rows of the parameter `frame_position_embedding` (frames, W), for features of shape (B, F, ..., W).

    Raises:
        UserError: if there are fewer.
    """
    if shape[1] > frames:
        raise UserError(
            f"the tower has temporal positions for {frames} frames, and the videos have {shape[1]}",
            where="the tower's option frames",
            remedy="give both the same number; `mmjax.encoders.fit_params` adapts weights",
        )
    return module.param("frame_position_embedding", initial, (frames, shape[-1]))[: shape[1]]


def check_frames(encoder, x) -> None:
    """Raise `UserError` unless x has the five axes of videos."""
    if x.ndim != 5:
        raise UserError(
            f"{type(encoder).__name__} cannot take an array of shape {x.shape}",
            remedy="give (batch, frames, height, width, channels)",
        )


def keys_of_frames(keys, frames: int):
    """(B F,) keys of the frames of (B,) examples, or None."""
    if keys is None:
        return None
    fold = jax.vmap(jax.vmap(jax.random.fold_in, in_axes=(None, 0)), in_axes=(0, None))
    return fold(keys_for(keys, "frames"), jnp.arange(frames)).reshape(-1)
