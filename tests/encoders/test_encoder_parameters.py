"""Parameter counts against published ones; names and shapes."""

import math

import jax
import jax.numpy as jnp
import pytest

from mmjax.encoders import ENCODERS, SIZES, TextTransformer, ViT, size
from mmjax.encoders.sizes import PATCHED
from mmjax.errors import UserError


def shapes(encoder):
    if isinstance(encoder, ViT):
        x = jax.ShapeDtypeStruct((1, encoder.image_size, encoder.image_size, 3), jnp.uint8)
    else:
        x = jax.ShapeDtypeStruct((1, encoder.context), jnp.int32)
    return jax.eval_shape(encoder.init, jax.random.key(0), x)["params"]


def count(kind, name, **options):
    encoder = ENCODERS[kind](**{"scan": True, **size(kind, name), **options})
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes(encoder)))


# timm's vit_*_patch16_224 with 1000 classes: 5,717,416, 22,050,664, 86,567,656, 304,326,632, and
# vit_huge_patch14_224: 632,045,800; without the head's 1000 x (width + 1).
@pytest.mark.parametrize(
    "name, total",
    [
        ("Ti/16", 5_717_416 - 193_000),
        ("S/16", 22_050_664 - 385_000),
        ("B/16", 86_567_656 - 769_000),
        ("L/16", 304_326_632 - 1_025_000),
        ("H/14", 632_045_800 - 1_281_000),
    ],
)
def test_vit_counts_as_timm(name, total):
    assert count("vit", name) == total


def test_clip_vit_counts_as_open_clip():
    assert count("vit", "clip-B/32") + 768 * 512 == 87_849_216


# open_clip's models: both towers, both projections without bias, the scale.
@pytest.mark.parametrize(
    "name, embed, total",
    [
        ("B/32", 512, 151_277_313),
        ("B/16", 512, 149_620_737),
        ("L/14", 768, 427_616_513),
        ("H/14", 1024, 986_109_441),
        ("g/14", 1024, 1_366_678_273),
        ("G/14", 1280, 2_539_567_105),
    ],
)
def test_clip_totals_as_open_clip(name, embed, total):
    widths = size("vit", name)["width"] + size("text", f"clip-{name}")["width"]
    assert count("vit", f"clip-{name}") + count("text", f"clip-{name}") + widths * embed + 1 == total


def test_siglip_counts_as_published():
    # So400m/14 at 384 pixels has 27 x 27 positions, as at 378.
    assert count("vit", "siglip-So400m/14", image_size=378) == 428_225_600
    # siglip-base-patch16-224: the text tower has a head (768, 768) with bias; then scale and bias.
    head = 768 * 768 + 768
    assert count("vit", "siglip-B/16") == 92_884_224
    assert count("vit", "siglip-B/16") + count("text", "siglip-B") + head + 2 == 203_155_970


@pytest.mark.parametrize("scan", [False, True])
def test_names_and_shapes(scan):
    encoder = ViT(image_size=32, width=12, depth=2, heads=3, pool="map", qk_norm=True, layer_scale=0.1, scan=scan)
    found = {
        "/".join(k.key for k in path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(shapes(encoder))
    }
    block = {
        **{f"attention/{n}/kernel": (12, 12) for n in ("query", "key", "value", "out")},
        **{f"attention/{n}/bias": (12,) for n in ("query", "key", "value", "out")},
        **{f"attention/{n}/{p}": (4,) for n in ("query_norm", "key_norm") for p in ("scale", "bias")},
        **{f"{n}/{p}": (12,) for n in ("attention_norm", "mlp_norm") for p in ("scale", "bias")},
        "mlp/up/kernel": (12, 48), "mlp/up/bias": (48,), "mlp/down/kernel": (48, 12), "mlp/down/bias": (12,),
        "attention_scale": (12,), "mlp_scale": (12,),
    }  # fmt: skip
    names = ["blocks"] if scan else ["blocks_0", "blocks_1"]
    expected = {f"{b}/{n}": (2, *s) if scan else s for b in names for n, s in block.items()}
    pool = {f"pool/{n}": s for n, s in block.items() if n.startswith(("attention/", "mlp/")) and "_norm" not in n}
    expected |= pool | {"pool/probe": (12,), "pool/norm/scale": (12,), "pool/norm/bias": (12,)}
    expected |= {"norm/scale": (12,), "norm/bias": (12,), "position_embedding": (1, 12)}
    expected |= {"stem/patch/kernel": (32 * 32 * 3, 12), "stem/patch/bias": (12,)}
    assert found == expected


def test_every_size_makes_a_valid_encoder():
    for kind, names in SIZES.items():
        cls = ENCODERS[kind]
        for name in names:
            cls(**size(kind, f"{name}/14" if kind in PATCHED else name))


def test_size_gives_a_copy():
    size("vit", "B/16")["width"] = 1
    size("text", "B")["width"] = 1
    assert size("vit", "B/16")["width"] == size("text", "B")["width"] == 768


def test_clip_text_sizes_are_open_clips():
    fields = ("width", "heads", "depth", "vocab_size", "context")
    found = {n: tuple(size("text", f"clip-{n}")[f] for f in fields) for n in ("B/32", "L/14", "H/14", "g/14", "G/14")}
    assert found == {
        "B/32": (512, 8, 12, 49408, 77),
        "L/14": (768, 12, 12, 49408, 77),
        "H/14": (1024, 16, 24, 49408, 77),
        "g/14": (1024, 16, 24, 49408, 77),
        "G/14": (1280, 20, 32, 49408, 77),
    }


@pytest.mark.parametrize(
    "kind, name, nearest",
    [("vit", "B16", "B/16"), ("vit", "So400/14", "So400m/14"), ("text", "clip-B32", "clip-B/32"), ("vitt", "B", "vit")],
)
def test_unknown_size_names_the_nearest(kind, name, nearest):
    with pytest.raises(UserError, match=f"did you mean '{nearest}'"):
        size(kind, name)


def test_fan_in_initialisation_and_the_residual_gain():
    encoder = TextTransformer(vocab_size=50, width=256, depth=8, heads=4, eot_id=3, scan=True)
    init = jax.jit(lambda key: encoder.init(key, jnp.ones((1, 4), jnp.int32))["params"]["blocks"])
    block = jax.tree.map(lambda leaf: leaf[1], init(jax.random.key(0)))
    for kernel, std in [
        (block["attention"]["query"], 256**-0.5),
        (block["mlp"]["up"], 256**-0.5),
        (block["attention"]["out"], (256 * 16) ** -0.5),
        (block["mlp"]["down"], (1024 * 16) ** -0.5),
    ]:
        assert abs(float(kernel["kernel"].std()) / std - 1) < 0.02
        assert not kernel["bias"].any()
