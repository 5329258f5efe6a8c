"""From pixels to the first tokens.

Parameters, p = patch_size, C = channels, W = width:

    patch:  stem/patch/{kernel,bias}       (p * p * C, W): the flat kernel (p, p, C, W) of a convolution of stride p
    conv:   stem/conv_i_kernel             (3, 3, in, out), stem/norm_i/..., then stem/patch/{kernel,bias} (W, W)
    merge:  stem/patch/{kernel,bias}       ((p / 4)^2 * C, W / 2), stem/norm_0,
            stem/merge_0/{kernel,bias}     (2 W, W), stem/norm_1, stem/merge_1/{kernel,bias} (4 W, W)
"""

import flax.linen as nn
import jax

from mmjax.encoders.activations import ACTIVATIONS
from mmjax.encoders.layers import Dense, fan_in
from mmjax.encoders.options import check_multiple
from mmjax.encoders.spec import Spec
from mmjax.errors import UserError

STEMS = ("patch", "conv", "merge")


def nested_patches(x, sides: tuple[int, ...]):
    """x (B, H, W, C) cut into patches of patches: sides (2, 4) are 8 x 8 pixels as 2 x 2 of 4 x 4.

    Returns:
        (B, H / p, W / p, p * p * C), p the product of sides; the numbers of a patch are ordered outer patches first, so
        that those of an inner patch lie together and merging patches later is a reshape.
    """
    b, height, width, channels = x.shape
    n, p = len(sides), 1
    for side in sides:
        p *= side
    rows, columns = height // p, width // p
    x = x.reshape(b, rows, *sides, columns, *sides, channels)
    inside = [axis for i in range(n) for axis in (2 + i, 3 + n + i)]
    return x.transpose(0, 1, 2 + n, *inside, 3 + 2 * n).reshape(b, rows, columns, p * p * channels)


def check_stem(stem: str, patch_size: int) -> None:
    """Raise `UserError` if a stem cannot have this patch size."""
    if stem == "merge":
        check_multiple("ViT.patch_size", patch_size, 4, "the merge stem's")
    if stem == "conv" and (patch_size < 2 or patch_size & (patch_size - 1)):
        raise UserError(
            f"the convolutional stem halves the picture again and again, which cannot make patches of {patch_size}",
            where="ViT.patch_size",
            remedy="use a power of two such as 16, or stem 'patch'",
        )


class Stem(nn.Module):
    """Pixels to one vector for each patch.

    Attributes:
        kind: one of `STEMS`, see `ViT.stem`.
        patch_size: pixels along a patch's side.
        use_bias: whether the linear maps have a bias.
        spec: width, act, norm and dtype.
    """

    kind: str
    patch_size: int
    use_bias: bool
    spec: Spec

    @nn.compact
    def __call__(self, x):
        """x (B, H, W, C) -> (B, H / patch_size, W / patch_size, width)."""
        return {"patch": self._patch, "conv": self._conv, "merge": self._merge}[self.kind](x)

    def _dense(self, features, name):
        return Dense(features, self.use_bias, dtype=self.spec.dtype, name=name)

    def _norm_act(self, x, i):
        return ACTIVATIONS[self.spec.act](self.spec.make_norm(f"norm_{i}")(x))

    def _patch(self, x):
        return self._dense(self.spec.width, "patch")(nested_patches(x, (self.patch_size,)))

    def _conv(self, x):
        """3 x 3 convolutions of stride 2, channels doubling up to the width (Xiao et al. 2021, arXiv 2106.14881).

        Norms are over channels, not over the batch as in the paper: an example's features are its own.
        """
        steps = self.patch_size.bit_length() - 1
        for i in range(steps):
            channels = max(self.spec.width >> (steps - 1 - i), 1)
            kernel = self.param(f"conv_{i}_kernel", fan_in(), (3, 3, x.shape[-1], channels)).astype(x.dtype)
            x = jax.lax.conv_general_dilated(
                x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = self._norm_act(x, i)
        return self._dense(self.spec.width, "patch")(x)

    def _merge(self, x):
        """Patches of a quarter, then twice four neighbours to one, by products alone: quick on a CPU."""
        width = self.spec.width
        x = nested_patches(x, (2, 2, self.patch_size // 4))
        b, rows, columns, _ = x.shape
        x = self._norm_act(self._dense(width // 2, "patch")(x.reshape(b, rows * columns, 16, -1)), 0)
        x = self._norm_act(self._dense(width, "merge_0")(x.reshape(b, rows * columns, 4, -1)), 1)
        return self._dense(width, "merge_1")(x.reshape(b, rows, columns, -1))
