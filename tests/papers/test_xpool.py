"""X-Pool: frames pooled by attention, anew for every caption."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import token_contrastive, token_rows, tokens
from mmjax.losses.tokens_attention import AttentionPooled, FramePooled
from tests.papers import token_cases
from tests.papers.running import check_mesh, config_of, run
from tests.papers.token_cases import WIDTH, arrays, masks, unit

SCORE = AttentionPooled()


def learned(width=WIDTH):
    """Parameters away from where they start."""
    params = SCORE.init(jax.random.key(0), width)
    keys = iter(jax.random.split(jax.random.key(1), len(jax.tree.leaves(params))))
    return jax.tree.map(lambda p: p + 0.2 * jax.random.normal(next(keys), p.shape), params)


def by_hand(frames, text, p):
    """cos(y, z(x | y)) of one video (F, D) and one text (D,), in float64."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), p)

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * p[name]["scale"] + p[name]["bias"]

    def dense(x, name):
        return x @ p[name]["kernel"] + p[name].get("bias", 0.0)

    query, normed = dense(norm(text, "norm"), "q"), norm(frames, "norm")
    logits = dense(normed, "k") @ query / np.sqrt(len(text))
    weights = np.exp(logits - logits.max())
    u = norm(dense(weights / weights.sum() @ dense(normed, "v"), "out"), "norm_u")
    z = norm(u + dense(u, "linear"), "norm_z")
    return z @ text / np.linalg.norm(z)


def test_similarity_is_the_papers():
    params, values = learned(), jax.tree.map(np.asarray, arrays())
    x = token_rows(arrays()["x"], masks()[0])
    y = token_rows(arrays()["y"], vector=arrays()["y_vector"])
    x, y = SCORE.prepare(x, params, first=True), SCORE.prepare(y, params, first=False)
    got, same = SCORE(x, y, params)
    assert got is same
    for i, j in ((0, 0), (2, 5), (6, 1)):
        frames = values["x"][i][np.asarray(masks()[0])[i]].astype(np.float64)
        assert got[i, j] == pytest.approx(by_hand(frames, values["y_vector"][j].astype(np.float64), params), rel=2e-4)


@pytest.mark.parametrize("rule", token_cases.OF_EVERY_SCORE)
def test_rules(rule):
    rule(SCORE, learned())


def test_lean_forms_equal_dense(monkeypatch):
    token_cases.lean_forms_equal_dense(SCORE, learned(), monkeypatch)


def test_one_frame_is_what_every_caption_sees():
    """With one frame there is nothing to choose: the pooled vector is the frame's for every caption."""
    frame, text = unit(0, 4, 1, WIDTH), unit(1, 4, WIDTH)
    x, y = token_rows(frame), token_rows(text[:, None], vector=text)
    np.testing.assert_allclose(FramePooled()(x, y, {})[0], frame[:, 0] @ text.T, rtol=1e-5, atol=1e-6)


def test_at_the_start_attention_finds_the_one_frame_that_matters():
    """256 captions, videos of 12 frames of which one is about the caption: the mean of frames drowns it."""
    rng = np.random.default_rng(0)
    text = np.asarray(unit(0, 256, 64))
    frames = np.asarray(unit(1, 256, 12, 64)).copy()
    near = text + rng.normal(size=text.shape) / 8
    frames[np.arange(256), rng.integers(12, size=256)] = near / np.linalg.norm(near, axis=1, keepdims=True)
    x, y = token_rows(jnp.asarray(frames)), token_rows(jnp.asarray(text)[:, None], vector=jnp.asarray(text))

    def recall(score):
        params = score.init(jax.random.key(0), 64)
        sides = score.prepare(x, params, first=True), score.prepare(y, params, first=False)
        return np.mean(np.argmax(score(*sides, params)[0], axis=0) == np.arange(256))

    assert recall(FramePooled(softness=1e6)) < 0.3
    assert recall(SCORE) > 0.95
    assert recall(FramePooled(softness=0.05)) > 0.95


def test_no_program_holds_a_pooled_vector_for_every_pair(monkeypatch):
    monkeypatch.setattr(tokens, "TILE_NUMBERS", 2**13)
    rows, width = 128, 16
    pooled = 4 * rows * rows * width

    def temporary(impl):
        def loss(x, y, params):
            x, y = token_rows(x), token_rows(y[:, None], vector=y)
            return token_contrastive(x, y, 9.0, score=SCORE, params=params, impl=impl)

        shapes = jax.ShapeDtypeStruct((rows, 4, width), jnp.float32), jax.ShapeDtypeStruct((rows, width), jnp.float32)
        compiled = jax.jit(jax.value_and_grad(loss, (0, 1, 2))).lower(*shapes, SCORE.init(None, width)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary("dense") >= pooled
    assert temporary("blockwise") < pooled / 2


@pytest.mark.slow
def test_a_mesh_and_microbatches_change_nothing():
    check_mesh(config_of("xpool", batch_size=16))


@pytest.mark.slow
def test_frames_pooled_for_a_caption_beat_their_mean(tmp_path):
    recall = [run("xpool", arg, workdir=tmp_path / arg)["val/test/text_to_series_R@1"] for arg in ("", "mean")]
    assert recall[0] > recall[1] + 0.2
