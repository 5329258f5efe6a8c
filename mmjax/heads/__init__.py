"""Heads: further features of a stream, made from its tower's, for objectives and evaluations to read by their name."""

from mmjax.heads.base import Head
from mmjax.heads.blend import BlendHead
from mmjax.heads.concat import ConcatHead
from mmjax.heads.lexical import LexicalHead
from mmjax.heads.mlp import MLPHead
from mmjax.heads.noise import NoiseHead
from mmjax.heads.same import SameHead
from mmjax.heads.token_mean import TokenMeanHead
from mmjax.heads.tokens import TokensHead

__all__ = [
    "HEADS",
    "BlendHead",
    "ConcatHead",
    "Head",
    "LexicalHead",
    "MLPHead",
    "NoiseHead",
    "SameHead",
    "TokenMeanHead",
    "TokensHead",
]

HEADS: dict[str, type[Head]] = {
    "blend": BlendHead,
    "concat": ConcatHead,
    "lexical": LexicalHead,
    "mlp": MLPHead,
    "noise": NoiseHead,
    "same": SameHead,
    "token_mean": TokenMeanHead,
    "tokens": TokensHead,
}
