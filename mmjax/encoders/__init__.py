"""Encoders: one modality in, `Features` out.

Each is a linen module `__call__(x, *, mask=None, keys=None) -> Features` whose fields are its options. `keys` (B,) are
per-example keys: with them the encoder is training, and what it drops depends on an example's key alone.
"""

from mmjax.encoders.features import Features
from mmjax.encoders.mlp import PixelMLP
from mmjax.encoders.sizes import SIZES, size
from mmjax.encoders.stacking import stack_blocks, unstack_blocks
from mmjax.encoders.text import TextTransformer
from mmjax.encoders.vector import Vector
from mmjax.encoders.vit import ViT

ENCODERS: dict[str, type] = {"vit": ViT, "mlp": PixelMLP, "text": TextTransformer, "vector": Vector}

__all__ = [
    "ENCODERS",
    "SIZES",
    "Features",
    "PixelMLP",
    "TextTransformer",
    "Vector",
    "ViT",
    "size",
    "stack_blocks",
    "unstack_blocks",
]
