"""The Vision Transformer (Dosovitskiy et al. 2021, arXiv 2010.11929).

Parameters, W = width, N = (image_size / patch_size)^2:

    stem/...                          see stems.py
    class_embedding                   (W,), with pool "cls"
    position_embedding                (N, W), or (N + 1, W) with the class token's first; position "learned"
    pre_norm/{scale,bias}             (W,), with pre_norm
    blocks/... or blocks_0/...        see blocks.py
    norm/{scale,bias}                 (W,)
    pool/...                          with pool "map", see pooling.py
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders.features import Features
from mmjax.encoders.layers import keys_for
from mmjax.encoders.options import check_choice, check_multiple, check_rates
from mmjax.encoders.pixels import normalised
from mmjax.encoders.positions import add_positions, resize_positions, sincos_1d, sincos_2d
from mmjax.encoders.spec import Spec
from mmjax.encoders.stems import STEMS, Stem, check_stem
from mmjax.encoders.trunk import Transformer, encode_tokens
from mmjax.errors import UserError

POSITIONS = ("learned", "sincos2d", "sincos1d", "none")


class ViT(Transformer):
    """Vision Transformer: images (B, H, W, C) to `Features`.

    Attributes:
        image_size: side of the images that learned positions are for; other sizes resize the positions.
        patch_size: side of a patch in pixels.
        channels: channels of the image.
        stem: patch: one linear map; conv: 3x3 convolutions of stride 2; merge: quarter patches merged twice.
        patch_bias: whether the stem's linear maps have a bias (CLIP's has none).
        position: learned, sincos2d, sincos1d or none.
        patch_dropout: share of patches left out of each image in training (FLIP), never the class token.
        mean: means of the channels by which uint8 images, over 255, are normalised.
        std: standard deviations likewise.
    """

    image_size: int = 224
    patch_size: int = 32
    channels: int = 3
    stem: str = "patch"
    patch_bias: bool = True
    position: str = "learned"
    patch_dropout: float = 0.0
    mean: tuple = (0.5, 0.5, 0.5)
    std: tuple = (0.5, 0.5, 0.5)

    def __post_init__(self):
        super().__post_init__()
        check_choice("ViT.stem", self.stem, STEMS)
        check_choice("ViT.position", self.position, POSITIONS)
        check_rates("ViT", patch_dropout=self.patch_dropout)
        check_stem(self.stem, self.patch_size)
        check_multiple("ViT.image_size", self.image_size, self.patch_size, "patch_size")
        if self.position.startswith("sincos"):
            check_multiple("ViT.width", self.width, 4 if self.position == "sincos2d" else 2, f"{self.position}'s")
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) != self.channels:
                raise UserError(
                    f"ViT.{name} has {len(numbers)} numbers for {self.channels} channels", remedy="give one a channel"
                )

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of images.

        Args:
            x: (B, H, W, C), uint8, or float that is normalised already. H and W are multiples of patch_size.
            mask: (B, N) bool over the N = H W / patch_size^2 patches, row by row, True for real ones; None: all are.
            keys: (B,) per-example keys in training, or None.

        Returns:
            `tokens` and `mask` of the patches that patch_dropout left in.

        Raises:
            UserError: if the shape of x does not fit.
        """
        return self._encoded(x, mask, keys)

    def _encoded(self, x, mask=None, keys=None, **blocks) -> Features:
        """What `__call__` returns, `blocks` going to `encode_tokens`."""
        tokens, class_token = self._embedded(x)
        if keys is not None and self.patch_dropout:
            kept = kept_patches(keys_for(keys, "patch_dropout"), tokens.shape[1], self.patch_dropout)
            tokens, mask = take(tokens, kept), None if mask is None else take(mask, kept)
        return encode_tokens(self, tokens, class_token, mask=mask, keys=keys, **blocks)

    def _embedded(self, x):
        """Patch tokens (B, N, W) of images, positions added, and the class token (1, 1, W) or None."""
        spec = Spec.of(self)
        x = Stem(self.stem, self.patch_size, self.patch_bias, spec, name="stem")(self._normalised(x))
        batch, rows, columns, _ = x.shape
        return self._placed(x.reshape(batch, rows * columns, self.width), rows, columns)

    def _normalised(self, x):
        if x.ndim != 4 or x.shape[-1] != self.channels or x.shape[1] % self.patch_size or x.shape[2] % self.patch_size:
            raise UserError(
                f"ViT cannot take images of shape {x.shape}",
                where=f"channels {self.channels}, patch_size {self.patch_size}",
                remedy="give (B, H, W, channels) with H and W multiples of patch_size",
            )
        return normalised(x, self.mean, self.std, self.dtype)

    def _placed(self, tokens, rows, columns):
        """Patch tokens (B, N, W) with positions added; the class token (1, 1, W) with its own, or None."""
        class_token, first = None, int(self.pool == "cls")
        initial = nn.initializers.normal(self.width**-0.5)
        if first:
            class_token = self.param("class_embedding", initial, (self.width,)).astype(self.dtype)[None, None]
        if self.position == "learned":
            side = self.image_size // self.patch_size
            table = self.param("position_embedding", initial, (first + side * side, self.width))
            tokens = add_positions(tokens, resize_positions(table[first:], side, rows, columns))
            class_token = add_positions(class_token, table[:1]) if first else None
        elif self.position == "sincos2d":
            tokens = add_positions(tokens, sincos_2d(rows, columns, self.width))
        elif self.position == "sincos1d":
            tokens = add_positions(tokens, sincos_1d(rows * columns, self.width))
        return tokens, class_token


def kept_patches(keys, patches: int, rate: float):
    """(B, K) ascending indices of a random subset for each example, K = patches * (1 - rate) rounded, at least 1.

    Li et al. 2023 (FLIP, arXiv 2212.00794). K is the same for all examples, so shapes stay static.
    """
    count = max(1, round(patches * (1 - rate)))
    order = jax.vmap(lambda key: jax.random.permutation(key, patches))(keys)
    return jnp.sort(order[:, :count], axis=1)


def take(x, indices):
    """x (B, N, ...) at indices (B, K) -> (B, K, ...)."""
    return jax.vmap(lambda row, i: row.at[i].get(indices_are_sorted=True, unique_indices=True))(x, indices)
