"""The mirror of captioning: masked patches of a picture from its other patches and the caption."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.encoders.layers import Dense
from mmjax.encoders.pixels import normalised
from mmjax.encoders.positions import add_positions, sincos_2d
from mmjax.encoders.stems import nested_patches
from mmjax.losses.masked import masked_mean
from mmjax.objectives.decoder import Decoder, DecoderOptions, tokens_of
from mmjax.objectives.relevance import highest, most_relevant


class MaskedImage(DecoderOptions):
    """Text-guided masked image modelling of SyCoCa (Ma et al. 2024, arXiv 2401.02137).

    An image decoder, which is given a learned vector in place of masked patches' tokens, looks at the text's tokens.
    The loss is the mean squared error over the pixels, from -1 to 1, of the masked patches.

    Attributes:
        streams: the image stream, of a tower with a token for every patch of a square grid, and the text stream.
        weight: factor of this part in the training loss.
        relevance: names of the patches' tokens and of the text in the shared space, such as ("patches", "text"), by
            whose products patches are chosen; none: at random.
        masked: share of the patches that is masked, those most relevant to the text.
    """

    streams: tuple[str, str] = ("image", "text")
    weight: float = 1.0
    relevance: tuple = ()
    masked: float = 0.5

    @property
    def named(self) -> dict:
        """Option -> the features that it names."""
        return {"streams": self.streams, "relevance": self.relevance}

    @nn.compact
    def __call__(self, features, batch, *, train: bool):
        """The loss () and metrics of `features` (stream -> Features with tokens) on a batch."""
        image, text = self.streams
        tokens, _, present = tokens_of(image, features, batch)
        others, others_mask, text_present = tokens_of(text, features, batch)
        side = grid_side(image, tokens.shape[1])
        masked, spec = self._masked(features, tokens), self.spec(tokens)
        unknown = self.param("mask_embedding", nn.initializers.normal(0.02), (1, 1, spec.width)).astype(tokens.dtype)
        x = add_positions(jnp.where(masked[..., None], unknown, tokens), sincos_2d(side, side, spec.width))
        x = Decoder(spec, name="decoder")(x, others, others_mask)
        target = patch_pixels(batch[image], side)
        errors = jnp.mean(jnp.square(Dense(target.shape[-1], name="pixels")(x.astype(jnp.float32)) - target), axis=-1)
        loss = masked_mean(errors, masked & (present & text_present)[:, None])
        return loss, {"masked_image_loss": loss}

    def _masked(self, features, tokens):
        """(B, N) bool: the patches that are to be found."""
        if self.relevance:
            return most_relevant(*self.relevance, features, share=self.masked)
        return highest(jax.random.uniform(self.make_rng("objective"), tokens.shape[:2]), self.masked)


def grid_side(stream: str, tokens: int) -> int:
    """Patches along a side of a square grid; ValueError where there is no such grid."""
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise ValueError(f"{tokens} tokens of {stream!r} are no square of patches: use a vit without patch_dropout")
    return side


def patch_pixels(images, side: int):
    """images (B, H, W, C), uint8 or normalised, as (B, side * side, pixels of a patch) float32, 0 to 255 as -1 to 1."""
    half = (0.5,) * images.shape[-1]
    patches = nested_patches(normalised(images, half, half, "float32"), (images.shape[1] // side,))
    return patches.reshape(len(images), side * side, -1)
