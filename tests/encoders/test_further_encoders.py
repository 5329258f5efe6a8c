"""What every encoder of the further modalities keeps: padding, keys, scan, remat, dtype, sharding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoder_cases import features, keys, params_of, pooled
from further_cases import ENCODERS, TRANSFORMERS, example_input, mask_of, with_noise_as_padding

from mmjax.encoders import unstack_blocks
from mmjax.errors import UserError
from mmjax.mesh import batch_sharding, make_mesh, named_axes, partition_specs, path_name

PADDED = [name for name in ENCODERS if name != "embedding"]
RANDOM = {"dropout": 0.3, "drop_path": 0.5}


def random(encoder):
    """The encoder with everything random that it has."""
    options = {k: v for k, v in RANDOM.items() if hasattr(encoder, k)}
    return encoder.clone(**options, **({"patch_dropout": 0.5} if hasattr(encoder, "patch_dropout") else {}))


@pytest.mark.parametrize("name", PADDED)
def test_padding_changes_nothing(name):
    """An example in a padded batch, whatever stands in the padding, has the features it has alone and unpadded."""
    encoder = ENCODERS[name]
    x, lengths = example_input(encoder)
    params, mask = params_of(encoder, x), mask_of(x, lengths)
    padded = features(encoder, params, with_noise_as_padding(x, mask), mask=mask)
    otherwise = features(encoder, params, with_noise_as_padding(x, mask, seed=1), mask=mask)
    np.testing.assert_array_equal(padded.pooled, otherwise.pooled)
    for i in (1, 3):
        length = lengths[i]
        alone = features(encoder, params, x[i : i + 1, :length])
        size = np.linalg.norm(alone.pooled[0])  # of unit norm, as models make them
        np.testing.assert_allclose(padded.pooled[i] / size, alone.pooled[0] / size, rtol=0, atol=1e-6)
        real = np.asarray(padded.mask[i])
        assert real.sum() == alone.tokens.shape[1]
        # Rounding, which another batch size changes, goes with the size of the whole token; 2e-6 are 17 of float32.
        sizes = np.linalg.norm(alone.tokens[0], axis=-1, keepdims=True)
        np.testing.assert_allclose(padded.tokens[i][real] / sizes, alone.tokens[0] / sizes, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_example_keeps_its_masks_wherever_it_stands(name):
    encoder = random(ENCODERS[name])
    x, k = example_input(encoder)[0], keys()
    params = params_of(encoder, x)
    whole = pooled(encoder, params, x, keys=k)
    order = np.array([2, 0, 3, 1])
    np.testing.assert_allclose(pooled(encoder, params, x[order], keys=k[order]), whole[order], rtol=1e-5, atol=1e-5)
    same_example = pooled(encoder, params, np.repeat(x[:1], 4, 0), keys=k)
    assert np.abs(same_example[0] - same_example[1:]).max(1).min() > 1e-2


@pytest.mark.parametrize("name", ["ast", "space_time", "xclip", "gru"])
def test_without_keys_nothing_is_dropped(name):
    encoder, (x, _) = ENCODERS[name], example_input(ENCODERS[name])
    params = params_of(encoder, x)
    np.testing.assert_array_equal(pooled(random(encoder), params, x), pooled(encoder, params, x))


@pytest.mark.parametrize("name", ["space_time", "xclip", "video-temporal"])
def test_scanned_and_unrolled_blocks_drop_alike(name):
    encoder = random(TRANSFORMERS[name])
    x, k = example_input(encoder)[0], keys()
    params = params_of(encoder, x)
    unrolled = pooled(encoder.clone(scan=False), unstack_blocks(params), x, keys=k)
    np.testing.assert_allclose(unrolled, pooled(encoder, params, x, keys=k), rtol=1e-5, atol=1e-5)


def silent(path: str) -> bool:
    """Parameters that change nothing: no softmax notices key biases; in X-CLIP's first block all messages are one."""
    first = "blocks/message_attention/query" in path or "blocks/message_attention/key" in path
    return "key/bias" in path or first


@pytest.mark.parametrize("name", ENCODERS)
def test_every_parameter_is_used_and_gradients_of_padding_alone_are_finite(name):
    encoder, (x, lengths) = ENCODERS[name], example_input(ENCODERS[name])

    @jax.jit
    def gradient(params, mask):
        return jax.grad(lambda p: jnp.sum(jnp.sin(encoder.apply({"params": p}, x, mask=mask).pooled)))(params)

    params, masks = params_of(encoder, x), [None if lengths is None else np.full(x.shape[:2], b) for b in (True, False)]
    for path, g in jax.tree_util.tree_leaves_with_path(gradient(params, masks[0])):
        layers = g if "blocks" in path_name(path) else g[None]
        used = [np.abs(layer).max() > 1e-5 for layer in layers]
        assert all(used[silent(path_name(path)) :]) or path_name(path).endswith("key/bias"), path_name(path)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient(params, masks[1])))


@pytest.mark.parametrize("name", ENCODERS)
def test_bfloat16(name):
    encoder = ENCODERS[name]
    x, _ = example_input(encoder)
    params = params_of(encoder, x)
    half, whole = features(encoder.clone(dtype="bfloat16"), params, x), features(encoder, params, x)
    assert half.pooled.dtype == jnp.float32
    assert half.tokens is None or half.tokens.dtype == jnp.bfloat16
    error = np.abs(half.pooled - whole.pooled).max() / np.abs(whole.pooled).max()
    assert 1e-5 < error < 0.06  # 8 bits through a few layers


@pytest.mark.parametrize("name", ENCODERS)
def test_every_parameter_has_a_place_on_a_mesh_and_features_stay(name):
    """Split over data, fsdp and tensor, with blocks one by one and recomputed: the features of one device, scanned."""
    encoder = ENCODERS[name]
    x, lengths = example_input(encoder, batch=4)
    mask = None if lengths is None else mask_of(x, lengths)
    params = params_of(encoder, x)
    expected = pooled(encoder, params, x, mask=mask)
    if name in TRANSFORMERS:
        encoder, params = encoder.clone(scan=False, remat="dots"), unstack_blocks(params)
    mesh = make_mesh({"data": 2, "fsdp": 2, "tensor": 2})
    specs = partition_specs(params, mesh)
    split = {axis for spec in jax.tree.leaves(specs, is_leaf=lambda s: not isinstance(s, dict)) for axis in spec}
    assert split >= ({"fsdp", "tensor"} if name in TRANSFORMERS else {"fsdp"})
    shardings = jax.tree.map(lambda s: jax.NamedSharding(mesh, s), specs)
    rows = batch_sharding(mesh)
    apply = lambda p, x, mask: encoder.apply({"params": p}, x, mask=mask).pooled  # noqa: E731
    with named_axes(mesh):
        found = jax.jit(apply, in_shardings=(shardings, rows, rows), out_shardings=rows)(params, x, mask)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_inputs_of_another_kind_are_refused(name):
    x, _ = example_input(ENCODERS[name])
    for wrong in (x[0], x.astype(np.complex64) if name == "embedding" else x[..., None]):
        with pytest.raises(UserError, match=type(ENCODERS[name]).__name__ + " cannot take|ViT cannot take"):
            jax.eval_shape(ENCODERS[name].init, jax.random.key(0), wrong)


@pytest.mark.parametrize("name", [n for n in ENCODERS if n not in ("embedding", "series_conv", "video")])
def test_inputs_too_long_are_refused(name):
    x, _ = example_input(ENCODERS[name])
    with pytest.raises(UserError):
        jax.eval_shape(ENCODERS[name].init, jax.random.key(0), np.concatenate([x, x], axis=1))
