"""Encoders: one modality in, `Features` out.

Each is a linen module `__call__(x, *, mask=None, keys=None) -> Features` whose fields are its options. `keys` (B,) are
per-example keys: with them the encoder is training, and what it drops depends on an example's key alone.
"""

from mmjax.encoders.adapt import fit_array, fit_params
from mmjax.encoders.audio_conv import ConvAudio
from mmjax.encoders.audio_patches import AST
from mmjax.encoders.characters import Characters
from mmjax.encoders.cross_frame import XCLIP
from mmjax.encoders.embedding import EmbeddingMLP
from mmjax.encoders.features import Features
from mmjax.encoders.mlp import PixelMLP
from mmjax.encoders.recurrent import GRU
from mmjax.encoders.series import SeriesConv, SeriesTransformer
from mmjax.encoders.sizes import SIZES, size
from mmjax.encoders.space_time import SpaceTime
from mmjax.encoders.stacking import stack_blocks, unstack_blocks
from mmjax.encoders.text import TextTransformer
from mmjax.encoders.vector import Vector
from mmjax.encoders.video import Video
from mmjax.encoders.vit import ViT
from mmjax.encoders.volume import Volume

ENCODERS: dict[str, type] = {
    "vit": ViT,
    "mlp": PixelMLP,
    "text": TextTransformer,
    "characters": Characters,
    "gru": GRU,
    "vector": Vector,
    "embedding": EmbeddingMLP,
    "ast": AST,
    "audio_conv": ConvAudio,
    "video": Video,
    "space_time": SpaceTime,
    "xclip": XCLIP,
    "series": SeriesTransformer,
    "series_conv": SeriesConv,
    "volume": Volume,
}

__all__ = [
    "AST",
    "ENCODERS",
    "GRU",
    "SIZES",
    "XCLIP",
    "Characters",
    "ConvAudio",
    "EmbeddingMLP",
    "Features",
    "PixelMLP",
    "SeriesConv",
    "SeriesTransformer",
    "SpaceTime",
    "TextTransformer",
    "Vector",
    "ViT",
    "Video",
    "Volume",
    "fit_array",
    "fit_params",
    "size",
    "stack_blocks",
    "unstack_blocks",
]
