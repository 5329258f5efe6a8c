"""Volumes, such as CT and MR scans, by a ViT's weights.

Parameters: those of `ViT` under the same names, so an image tower's weights are this tower's; and

    slice_position_embedding            (slices - 1, W), of all slices but the first
"""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.features import Features
from mmjax.encoders.video import check_frames
from mmjax.encoders.vit import ViT
from mmjax.errors import UserError


class Volume(ViT):
    """A ViT whose tokens are the patches of all slices at once: volumes (B, D, H, W, C) to `Features`.

    A volume of one slice is a picture: it has the picture's features. All other options are `ViT`'s.

    Attributes:
        slices: greatest number of slices.
    """

    slices: int = 16

    def __post_init__(self):
        super().__post_init__()
        if self.slices < 2:
            raise UserError(f"Volume has {self.slices} slices", remedy="give at least 2, or use the encoder 'vit'")

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of volumes.

        Args:
            x: (B, D, H, W, C), uint8, or float that is normalised already.
            mask: (B, D) bool, True for real slices; None: all are.
            keys: (B,) per-example keys in training, or None.

        Returns:
            Tokens of the patches that patch_dropout left in, slice by slice.

        Raises:
            UserError: if the shape of x does not fit, or D is more than `slices`.
        """
        check_frames(self, x)
        patches = (x.shape[2] // self.patch_size) * (x.shape[3] // self.patch_size)
        return self._encoded(x, None if mask is None else jnp.repeat(mask, patches, axis=1), keys)

    def _embedded(self, x):
        """Patch tokens (B, D N, W) of volumes, positions added, and the class token (1, 1, W) or None."""
        batch, depth = x.shape[:2]
        if depth > self.slices:
            raise UserError(f"Volume has positions for {self.slices} slices, and the volumes have {depth}")
        tokens, class_token = super()._embedded(x.reshape(-1, *x.shape[2:]))
        tokens = tokens.reshape(batch, depth, -1, self.width)
        table = self.param("slice_position_embedding", nn.initializers.normal(0.02), (self.slices - 1, self.width))
        # The first slice has none, so that a picture and a volume of one slice are the same.
        positions = jnp.pad(table[: depth - 1], ((1, 0), (0, 0))).astype(tokens.dtype)
        return (tokens + positions[None, :, None]).reshape(batch, -1, self.width), class_token
