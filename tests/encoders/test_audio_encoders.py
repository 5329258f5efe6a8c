"""Audio encoders: patches and convolutions against numpy, counts against published ones, SpecAugment's law."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import numpy_transformer as ref
import pytest
from encoder_cases import features, keys, params_of, pooled
from further_cases import ENCODERS, example_input

from mmjax.encoders import AST, ConvAudio, size
from mmjax.encoders.spec_augment import spec_augment
from mmjax.encoders.spectrogram import log_mel
from mmjax.errors import UserError

CLOSE = {"rtol": 1e-4, "atol": 2e-5}


def spectrogram(encoder, x):
    """The encoder's normalised spectrogram, the last frame left out."""
    names = ("sample_rate", "n_fft", "win_length", "hop", "n_mels", "fmin", "fmax", "mel_scale", "mel_norm")
    mel = np.asarray(log_mel(x, **{name: getattr(encoder, name) for name in names}), np.float64)
    return (mel[:, : x.shape[1] // encoder.hop] - encoder.mean) / encoder.std


def count(encoder):
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 16000), jnp.float32))["params"]
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def test_ast_counts_as_published():
    """transformers 5.23.0's ASTModel(ASTConfig()) has 86,187,264: another class token, and positions of both."""
    assert count(AST(**size("ast", "B"), scan=True)) == 86_187_264 - 3 * 768


# transformers 5.23.0's WhisperModel(...).encoder, whose positions count though they are not learned; keys have no bias.
@pytest.mark.parametrize("name, total", [("tiny", 8_208_384), ("base", 20_590_592), ("large", 636_784_640)])
def test_whisper_counts_as_published(name, total):
    fields = size("audio_conv", f"whisper-{name}")
    assert count(ConvAudio(**fields, scan=True)) == total + fields["depth"] * fields["width"]


def test_ast_on_overlapping_patches():
    encoder = ENCODERS["ast"].clone(scan=False)
    x = example_input(encoder)[0]
    params = params_of(encoder, x)
    p, found = ref.f64(params), features(encoder, params, x)
    mel = spectrogram(encoder, x)  # (4, 35, 16): six patches of 8 frames, each 5 on, by two of 8 bands
    for b in range(2):
        corners = [(t, f) for t in range(0, 28, 5) for f in (0, 5)]
        t = ref.dense(np.stack([mel[b, t : t + 8, f : f + 8].ravel() for t, f in corners]), p["stem"])
        t = np.concatenate([p["class_embedding"][None], t + p["position_embedding"][:12]])
        for i in range(2):
            t = ref.block(t, p[f"blocks_{i}"], 2)
        t = ref.layer_norm(t, p["norm"], 1e-6)
        np.testing.assert_allclose(found.pooled[b], t[0], **CLOSE)
        np.testing.assert_allclose(found.tokens[b], t[1:], **CLOSE)


def test_convolutional_front_end():
    """Against a sum over taps: outputs centred on every frame, then on every second one."""
    encoder = ENCODERS["audio_conv"].clone(scan=False, pool="mean")
    x = example_input(encoder)[0]
    params = params_of(encoder, x)
    p, found = ref.f64(params), pooled(encoder, params, x)

    def conv(y, p, stride):
        padded = np.pad(y, ((1, 1), (0, 0)))
        kernel = p["kernel"].reshape(3, y.shape[1], -1)
        return ref.gelu(sum(padded[tap : tap + len(y) : stride] @ kernel[tap] for tap in range(3)) + p["bias"])

    mel = spectrogram(encoder, x)
    for b in range(2):
        t = conv(conv(mel[b], p["stem"]["conv_0"], 1), p["stem"]["conv_1"], 2)
        assert len(t) == 18
        t = t + p["position_embedding"][:18]
        for i in range(2):
            t = ref.block(t, p[f"blocks_{i}"], 2)
        np.testing.assert_allclose(found[b], ref.layer_norm(t, p["norm"], 1e-6).mean(0), **CLOSE)


BANDS = {"time_masks": 1, "time_mask": 6, "freq_masks": 1, "freq_mask": 3}


def test_spec_augment_leaves_out_bands():
    x = jnp.ones((400, 20, 8))
    lengths = jnp.full(400, 12, jnp.int32)
    y = np.asarray(spec_augment(x, keys(400), lengths, **BANDS)) == 0
    times, bands = y.all(axis=2), y.all(axis=1)
    np.testing.assert_array_equal(y, times[:, :, None] | bands[:, None, :])
    assert not times[:, 12:].any()  # only real frames
    for masked, greatest in ((times, 6), (bands, 3)):
        widths = masked.sum(1)
        assert set(widths) == set(range(greatest + 1))
        assert abs(widths.mean() - greatest / 2) < 4 * np.sqrt(((greatest + 1) ** 2 - 1) / 12 / 400)
        edges = np.abs(np.diff(np.pad(masked, ((0, 0), (1, 1))).astype(int), axis=1)).sum(1)
        assert set(edges) == {0, 2}  # one band each
    assert bands.any(axis=0).all() and times[:, :12].any(axis=0).all()  # every place is left out for someone


def test_spec_augment_only_in_training_and_by_key():
    encoder = ENCODERS["ast"]
    x = example_input(encoder)[0]
    params = params_of(encoder, x)
    plain = pooled(encoder.clone(time_masks=0, freq_masks=0), params, x)
    np.testing.assert_array_equal(pooled(encoder, params, x), plain)
    assert np.abs(pooled(encoder, params, x, keys=keys()) - plain).max() > 1e-3


def test_more_bands_leave_out_more():
    x, lengths = jnp.ones((400, 20, 8)), jnp.full(400, 20, jnp.int32)
    one, three = (spec_augment(x, keys(400), lengths, **{**BANDS, "time_masks": n}) for n in (1, 3))
    assert (three == 0).mean() > (one == 0).mean() + 0.1


@pytest.mark.parametrize(
    "options", [{"mel_scale": "mell"}, {"hop": 0}, {"win_length": 600}, {"stride": 0}, {"stride": 17}, {"n_mels": 8}]
)
def test_options_that_cannot_be(options):
    with pytest.raises(UserError):
        AST(**options)
