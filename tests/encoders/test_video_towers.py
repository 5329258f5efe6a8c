"""Video encoders and volumes against the references, the image encoder and each other."""

import math
from pathlib import Path

import jax
import numpy as np
import numpy_transformer as ref
import pytest
from encoder_cases import TINY, params_of, pooled, tiny_vit

from mmjax.encoders import XCLIP, SpaceTime, Video, ViT, Volume, fit_params, size
from mmjax.errors import UserError

FRAMES = {**TINY, "image_size": 16, "patch_size": 8}
SCANNED = {**FRAMES, "scan": True}  # compiles faster
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def videos(batch=2, frames=3):
    return np.random.default_rng(7).normal(size=(batch, frames, 16, 16, 3)).astype(np.float32)


def with_weights_of(video, image):
    """The parameters of a video tower with those of an image tower, all of which it must have."""
    assert all(image_name in video for image_name in image)
    return {
        k: with_weights_of(v, image[k]) if isinstance(v, dict) and k in image else image.get(k, v)
        for k, v in video.items()
    }


def fresh(encoder, x):
    return jax.jit(encoder.init)(jax.random.key(0), x)["params"]


def recorded(prefix):
    """Parameters in the names of mmjax of what transformers 5.23.0 made the outputs with.

    XCLIPVisionModel(hidden_size=12, intermediate_size=24, num_hidden_layers=2, num_attention_heads=3, image_size=16,
    patch_size=8, num_frames=3, layer_norm_eps=1e-5), its weights seeded normal numbers, on `videos()`; behind it
    XCLIPMultiframeIntegrationTransformer of two layers of the same sizes.
    """
    weights = {k.removeprefix(prefix): v for k, v in RECORDED.items() if k.startswith(prefix)}
    tree = {}

    def put(path, value):
        node = tree
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = value

    renamed = {
        "self_attn": "attention", "message_attn": "message_attention", "layer_norm1": "attention_norm",
        "layer_norm2": "mlp_norm", "message_ln": "message_norm", "message_fc": "message_projection",
        "q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "out", "fc1": "up", "fc2": "down",
        "pre_layernorm": "pre_norm", "post_layernorm": "norm",
    }  # fmt: skip
    for name, value in weights.items():
        *path, last = name.replace("encoder.layers.", "blocks_").split(".")
        path = [renamed.get(part, part) for part in path if part != "embeddings"]
        if last == "weight":
            value, last = (value, "scale") if "norm" in path[-1] else (value.T, "kernel")
        put([*path, last], value)
    return tree


RECORDED = dict(np.load(Path(__file__).with_name("xclip.npz")))


def test_xclip_is_hugging_faces():
    encoder = XCLIP(image_size=16, patch_size=8, width=12, depth=2, heads=3, mlp_dim=24, frames=3, temporal_depth=2,
                    pre_norm=True, patch_bias=False, norm_eps=1e-5, act="quick_gelu")  # fmt: skip
    params, mit = recorded("xclip/"), recorded("mit/")
    kernel = RECORDED["xclip/embeddings.patch_embedding.weight"]  # (W, C, p, p)
    params["stem"] = {"patch": {"kernel": kernel.transpose(2, 3, 1, 0).reshape(-1, 12)}}
    del params["patch_embedding"]
    params["position_embedding"] = params["position_embedding"]["kernel"].T
    mit["frame_position_embedding"] = mit.pop("position_embedding")[0]
    params["temporal"] = mit
    x = videos()
    np.testing.assert_allclose(pooled(encoder, params, x), RECORDED["xclip"], **CLOSE)
    alone = encoder.clone(temporal_depth=0)
    frames = RECORDED["xclip_frames"].reshape(2, 3, 12)
    found = pooled(alone, {k: v for k, v in params.items() if k != "temporal"}, x)
    np.testing.assert_allclose(found, frames.mean(1), **CLOSE)


def test_space_time_is_the_papers():
    """Against the paper's equations with a loop over tokens, each attending to whom it may."""
    encoder, x = SpaceTime(**FRAMES, frames=4), videos()
    params = params_of(encoder, x)
    p, found = ref.f64(params), pooled(encoder, params, x)
    place = np.concatenate([[-1], np.tile(np.arange(4), 3)])
    frame = np.concatenate([[-1], np.repeat(np.arange(3), 4)])
    by_all = (frame == -1)[:, None] | (frame == -1)[None]
    same_place, same_frame = (by_all | (a[:, None] == a[None]) for a in (place, frame))
    for video, expected in zip(x.astype(np.float64), found, strict=True):
        patches = np.concatenate([ref.dense(ref.patches(image, 8), p["stem"]["patch"]) for image in video])
        t = np.concatenate([p["class_embedding"][None], patches]) + p["position_embedding"][place + 1]
        t[1:] += p["frame_position_embedding"][frame[1:]]
        for i in range(2):
            b = p[f"blocks_{i}"]
            y = ref.layer_norm(t, b["time_norm"], 1e-6)
            y = t + ref.attention(y, y, b["time_attention"], 2, same_place)
            y = ref.layer_norm(y, b["attention_norm"], 1e-6)
            t = t + ref.attention(y, y, b["attention"], 2, same_frame)
            y = ref.layer_norm(t, b["mlp_norm"], 1e-6)
            t = t + ref.dense(ref.gelu(ref.dense(y, b["mlp"]["up"])), b["mlp"]["down"])
        np.testing.assert_allclose(expected, ref.layer_norm(t, p["norm"], 1e-6)[0], **CLOSE)


def test_temporal_transformer_is_clip4clips():
    """x + blocks(x + positions) over frames, then the mean (its section 3.3, "seqTransf")."""
    encoder, x = Video(**FRAMES, frames=4, temporal_depth=1, temporal_heads=4), videos()
    params = params_of(encoder, x)
    temporal = ref.f64(params["temporal"])
    image_params = {k: v for k, v in params.items() if k != "temporal"}
    for video, found in zip(x, pooled(encoder, params, x), strict=True):
        frames = pooled(tiny_vit(), image_params, video).astype(np.float64)
        y = ref.block(frames + temporal["frame_position_embedding"][:3], temporal["blocks_0"], 4)
        np.testing.assert_allclose(found, (frames + y).mean(0), **CLOSE)


def test_image_weights_make_the_video_encoders():
    """A tower with an image tower's weights: of one frame, the image's features; by the mean, the frames' mean."""
    image, x = tiny_vit(), videos()
    params = params_of(image, x[:, 0])
    of_frames = np.stack([pooled(image, params, x[:, i]) for i in range(3)], axis=1)
    np.testing.assert_allclose(pooled(Video(**FRAMES), params, x), of_frames.mean(1), rtol=1e-5, atol=1e-5)
    space_time, volume = SpaceTime(**FRAMES, frames=3), Volume(**FRAMES)
    for video, own in ((space_time, fresh(space_time, x)), (volume, params_of(volume, x))):
        grown = with_weights_of(own, params)
        np.testing.assert_allclose(pooled(video, grown, x[:, :1]), of_frames[:, 0], rtol=1e-5, atol=1e-5)


def test_equal_frames_at_first_are_the_image():
    image, x = tiny_vit(pool="mean"), videos()
    params = params_of(image, x[:, 0])
    video = SpaceTime(**FRAMES, pool="mean", frames=3)
    grown = with_weights_of(fresh(video, x), params)
    still = np.repeat(x[:, :1], 3, axis=1)
    np.testing.assert_allclose(pooled(video, grown, still), pooled(image, params, x[:, 0]), rtol=1e-5, atol=1e-5)
    assert np.abs(pooled(video, grown, x) - pooled(video, grown, still)).max() > 1e-2


def test_a_volume_of_one_slice_is_a_picture_whatever_its_slice_positions():
    volume, x = Volume(**FRAMES, slices=4), videos()
    params = params_of(volume, x)
    assert params["slice_position_embedding"].shape == (3, 16) and params["slice_position_embedding"].any()
    picture = {k: v for k, v in params.items() if k != "slice_position_embedding"}
    np.testing.assert_array_equal(pooled(volume, params, x[:, :1]), pooled(ViT(**FRAMES), picture, x[:, 0]))


@pytest.mark.parametrize("order_matters", [False, True])
def test_only_temporal_encoders_see_the_order_of_frames(order_matters):
    x = videos()
    temporal = [Video(**SCANNED, temporal_depth=1), SpaceTime(**SCANNED), XCLIP(**SCANNED), Volume(**SCANNED)]
    for encoder in temporal if order_matters else [Video(**SCANNED), XCLIP(**SCANNED, temporal_depth=0)]:
        params = params_of(encoder, x)
        change = np.abs(pooled(encoder, params, x) - pooled(encoder, params, x[:, ::-1])).max()
        assert change > 1e-2 if order_matters else change < 1e-5


@pytest.mark.parametrize("kind", [SpaceTime, Video])
def test_weights_for_some_frames_load_into_more_and_fewer(kind):
    options = {**SCANNED, **({"temporal_depth": 1} if kind is Video else {})}
    three, five, two = (kind(**options, frames=n) for n in (3, 5, 2))
    x = videos()
    params = params_of(three, x)
    more, fewer = (fit_params(params, params_of(encoder, x[:, :2])) for encoder in (five, two))
    np.testing.assert_array_equal(pooled(five, more, x), pooled(three, params, x))
    np.testing.assert_array_equal(pooled(two, fewer, x[:, :2]), pooled(three, params, x[:, :2]))
    assert np.isfinite(pooled(five, more, videos(2, 5))).all()
    with pytest.raises(UserError, match="temporal positions for 3 frames"):
        pooled(three, params, videos(2, 4))


def count(encoder):
    x = jax.ShapeDtypeStruct((1, 2, encoder.image_size, encoder.image_size, 3), np.uint8)
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), x)["params"]
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def test_counts():
    vit, w = 86_567_656 - 769_000, 768  # timm's vit_base_patch16_224 without its head
    attention, block = 4 * w * (w + 1), 12 * w**2 + 13 * w
    fields = {**size("video", "B/16"), "scan": True}
    assert count(Video(**fields)) == vit
    assert count(Video(**fields, frames=12, temporal_depth=4)) == vit + 4 * block + 12 * w
    assert count(SpaceTime(**fields, frames=12)) == vit + 12 * (attention + 2 * w) + 12 * w
    assert count(Volume(**fields, slices=12)) == vit + 11 * w
    # transformers 5.23.0's XCLIPVisionModel(XCLIPVisionConfig(patch_size=32)), which has no temporal part.
    xclip = XCLIP(**size("xclip", "B/32"), scan=True, frames=8, temporal_depth=0)
    assert count(xclip) == 122_909_952
    assert count(xclip.clone(temporal_depth=1)) == 122_909_952 + block + 8 * w
