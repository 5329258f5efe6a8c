"""A residual multilayer perceptron on the pixels of a small picture: the cheapest image tower there is.

Parameters, W = width, P = (image_size / shrink)^2 * channels:

    stem/{kernel,bias}                (P, W), (W,)
    norm_i/{scale,bias}               (W,), i = 1 .. depth - 1
    hidden_i/{kernel,bias}            (W, W), (W,)
    norm/{scale,bias}                 (W,)
"""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.encoders.activations import ACTIVATIONS
from mmjax.encoders.features import Features
from mmjax.encoders.layers import DTYPES, Dense, dropout, keys_for
from mmjax.encoders.norms import NORMS, Norm
from mmjax.encoders.options import check_choice, check_multiple, check_rates
from mmjax.encoders.pixels import normalised
from mmjax.errors import UserError


class PixelMLP(nn.Module):
    """Residual MLP on all pixels at once: images (B, S, S, C) to `Features`.

    x <- act(stem(pixels)), then x <- x + act(hidden(norm(x))) for each further layer, and a last norm. It sees where
    things are but not that they moved, so it needs small pictures and strong geometric augmentation.

    Attributes:
        image_size: side of the images.
        shrink: the picture is first averaged over shrink x shrink pixels.
        channels: channels of the image.
        width: hidden units.
        depth: number of hidden layers.
        act: gelu (exact), gelu_tanh or quick_gelu.
        norm: layer or rms.
        norm_eps: added to the mean square in norms.
        dropout: rate of zeros in the hidden units.
        mean: means of the channels by which uint8 images, over 255, are normalised.
        std: standard deviations likewise.
        dtype: dtype of activations, float32 or bfloat16.
    """

    image_size: int = 32
    shrink: int = 2
    channels: int = 3
    width: int = 1024
    depth: int = 2
    act: str = "gelu"
    norm: str = "layer"
    norm_eps: float = 1e-6
    dropout: float = 0.0
    mean: tuple = (0.5, 0.5, 0.5)
    std: tuple = (0.5, 0.5, 0.5)
    dtype: str = "float32"

    def __post_init__(self):
        super().__post_init__()
        check_mlp(self)
        check_multiple("PixelMLP.image_size", self.image_size, self.shrink, "shrink")

    @nn.compact
    def __call__(self, x, *, mask=None, keys=None) -> Features:
        """Features of a batch of images.

        Args:
            x: (B, image_size, image_size, C), uint8, or float that is normalised already.
            mask: unused: a picture has no padding.
            keys: (B,) per-example keys in training, or None.

        Raises:
            UserError: if the shape of x does not fit.
        """
        size = self.image_size
        if x.shape[1:] != (size, size, self.channels):
            raise UserError(
                f"PixelMLP cannot take images of shape {x.shape}",
                where=f"image_size {size}, channels {self.channels}",
                remedy="give config.data.image_size and the tower's image_size the same value",
            )
        x = averaged(normalised(x, self.mean, self.std, self.dtype), self.shrink)
        return Features(residual_mlp(self, x.reshape(len(x), -1), keys))


def residual_mlp(encoder, x, keys):
    """x (B, F) -> (B, width) float32 by `depth` hidden layers, residual from the second on, and a norm.

    Args:
        encoder: a module with the options of `PixelMLP` that are not about pixels, whose submodules the layers become.
        x: (B, F) in the encoder's dtype.
        keys: (B,) per-example keys in training, or None.
    """
    e, act = encoder, ACTIVATIONS[encoder.act]
    x = act(Dense(e.width, dtype=e.dtype, name="stem")(x))
    x = dropout(x, e.dropout, keys_for(keys, "stem"))
    for i in range(1, e.depth):
        y = Norm(e.norm, e.norm_eps, e.dtype, name=f"norm_{i}")(x)
        y = act(Dense(e.width, dtype=e.dtype, name=f"hidden_{i}")(y))
        x = x + dropout(y, e.dropout, keys_for(keys, f"hidden_{i}"))
    return Norm(e.norm, e.norm_eps, e.dtype, name="norm")(x).astype(jnp.float32)


def check_mlp(encoder) -> None:
    """Raise `UserError` unless the options that `residual_mlp` takes are valid."""
    kind = type(encoder).__name__
    check_choice(f"{kind}.act", encoder.act, set(ACTIVATIONS) - {"swiglu"})
    check_choice(f"{kind}.norm", encoder.norm, NORMS)
    check_choice(f"{kind}.dtype", encoder.dtype, DTYPES)
    check_rates(kind, dropout=encoder.dropout)
    if encoder.depth < 1 or encoder.width < 1:
        raise UserError(f"{kind} has depth {encoder.depth} and width {encoder.width}", remedy="give positive sizes")


def averaged(x, factor: int):
    """x (B, H, W, C) averaged over factor x factor pixels -> (B, H / factor, W / factor, C)."""
    b, h, w, c = x.shape
    return jnp.mean(x.reshape(b, h // factor, factor, w // factor, factor, c), axis=(2, 4))
