"""The field's names for sizes of encoders, as fields of the encoder classes.

Sources: Dosovitskiy et al. 2021 table 1 (B, L, H), Touvron et al. 2021 arXiv 2012.12877 (Ti, S), Zhai et al. 2022
arXiv 2106.04560 table 2 (g, G), Alabdulmohsin et al. 2023 arXiv 2305.13035 (So400m); the towers of CLIP and OpenCLIP
(Radford et al. 2021 table 20, Cherti et al. 2023 arXiv 2212.07143), of SigLIP (Zhai et al. 2023 arXiv 2303.15343) and
of Whisper (Radford et al. 2022, arXiv 2212.04356, table 1).
"""

import re

from mmjax.encoders.options import check_choice


def _shape(width: int, depth: int, heads: int, mlp_dim: int = 0) -> dict:
    return {"width": width, "depth": depth, "heads": heads, "mlp_dim": mlp_dim or 4 * width}


_SHAPES = {
    "Ti": _shape(192, 12, 3),
    "S": _shape(384, 12, 6),
    "B": _shape(768, 12, 12),
    "L": _shape(1024, 24, 16),
    "H": _shape(1280, 32, 16),
    "So400m": _shape(1152, 27, 16, 4304),
    "g": _shape(1408, 40, 16, 6144),
    "G": _shape(1664, 48, 16, 8192),
}

_OPENAI = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}
_CLIP_VIT = {"pool": "cls", "pre_norm": True, "patch_bias": False, "norm_eps": 1e-5, **_OPENAI}
_SIGLIP_VIT = {"pool": "map", "act": "gelu_tanh", "norm_eps": 1e-6, "mean": (0.5,) * 3, "std": (0.5,) * 3}
_CLIP_TEXT = {
    "vocab_size": 49408, "context": 77, "causal": True, "pool": "eot", "eot_id": 49407, "pad_id": 0, "norm_eps": 1e-5,
}  # fmt: skip
_SIGLIP_TEXT = {
    "vocab_size": 32000, "context": 64, "causal": False, "pool": "last", "pad_id": 1,
    "act": "gelu_tanh", "norm_eps": 1e-6,
}  # fmt: skip

_WHISPER = {
    "frames": 3000, "n_fft": 400, "n_mels": 80, "fmin": 0.0, "mel_scale": "slaney", "mel_norm": "slaney",
    "mean": -40.0, "std": 40.0, "pool": "mean", "norm_eps": 1e-5,
}  # fmt: skip
_WHISPER_SHAPES = {
    "tiny": _shape(384, 4, 6), "base": _shape(512, 6, 8), "small": _shape(768, 12, 12),
    "medium": _shape(1024, 24, 16), "large": _shape(1280, 32, 20),
}  # fmt: skip

# A vit's name goes on with "/" and any patch size: "B/16". The text tower of a CLIP model bears the whole model's name.
# OpenAI's weights want act "quick_gelu" besides, others of CLIP's shape mostly do not: the weights decide.
_VIT = {
    **_SHAPES,
    **{f"clip-{name}": _SHAPES[name] | _CLIP_VIT for name in ("B", "L", "H", "g", "G")},
    **{f"siglip-{name}": _SHAPES[name] | _SIGLIP_VIT for name in ("B", "L", "So400m")},
}
SIZES: dict[str, dict[str, dict]] = {
    "vit": _VIT,
    "text": {
        **{name: _SHAPES[name] for name in ("Ti", "S", "B", "L", "H", "So400m", "g")},
        "clip-B/32": _shape(512, 12, 8) | _CLIP_TEXT,
        "clip-B/16": _shape(512, 12, 8) | _CLIP_TEXT,
        "clip-L/14": _shape(768, 12, 12) | _CLIP_TEXT,
        "clip-H/14": _shape(1024, 24, 16) | _CLIP_TEXT,
        "clip-g/14": _shape(1024, 24, 16) | _CLIP_TEXT,
        "clip-G/14": _shape(1280, 32, 20) | _CLIP_TEXT,
        **{f"siglip-{name}": _SHAPES[name] | _SIGLIP_TEXT for name in ("B", "L", "So400m")},
    },
    "characters": {name: _SHAPES[name] for name in ("Ti", "S", "B")},
    "ast": {name: _SHAPES[name] for name in ("Ti", "S", "B", "L")},
    "audio_conv": {f"whisper-{name}": _WHISPER | shape for name, shape in _WHISPER_SHAPES.items()},
    "video": _VIT,
    "space_time": _VIT,
    "xclip": {name: _SHAPES[name] | _CLIP_VIT | {"act": "quick_gelu"} for name in ("B", "L")},
    "volume": _VIT,
    "series": {name: _SHAPES[name] for name in ("Ti", "S", "B")},
}
# Kinds whose names go on with the patch size.
PATCHED = ("vit", "video", "space_time", "xclip", "volume")


def size(kind: str, name: str) -> dict:
    """The fields of an encoder that `name` stands for, such as size("vit", "B/16") or size("text", "clip-B/32").

    Args:
        kind: a key of `SIZES`.
        name: for an encoder of `PATCHED` "<name>/<patch size>", else a key of SIZES[kind].

    Raises:
        UserError: naming the nearest name.
    """
    check_choice("encoder kind with sizes", kind, SIZES)
    names = SIZES[kind]
    if kind not in PATCHED:
        check_choice(f"size of {kind}", name, names)
        return dict(names[name])
    shape, _, patch = name.partition("/")
    if shape not in names or not re.fullmatch(r"[1-9]\d*", patch):
        check_choice(f"size of {kind}", name, (f"{n}/{p}" for n in names for p in (14, 16, 32)))
    return {**names[shape], "patch_size": int(patch)}
