"""Long-CLIP's stretching of positions, and temporal positions for another number of frames."""

import numpy as np
import pytest
from encoder_cases import params_of, pooled, texts, tiny_text

from mmjax.encoders import fit_params
from mmjax.encoders.adapt import fit_array
from mmjax.encoders.positions import resize_frames, stretch_positions
from mmjax.errors import UserError


def table(length=77, width=6):
    return np.random.default_rng(0).normal(size=(length, width)).astype(np.float32)


def test_long_clips_rule():
    """The rule as its code states it, row by row: 77 become 248, 20 stay."""
    old = table()
    new = np.zeros((248, 6))
    new[:20] = old[:20]
    for i in range(77 - 1 - 20):
        for j in range(4):
            new[20 + 4 * i + j] = (1 - j / 4) * old[20 + i] + j / 4 * old[21 + i]
    for j in range(4):
        new[244 + j] = old[76] + j / 4 * (old[76] - old[75])
    found = np.asarray(stretch_positions(old))
    np.testing.assert_allclose(found, new, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found[:20], old[:20])
    np.testing.assert_array_equal(found[20::4], old[20:])
    assert found.dtype == np.float32


def test_a_line_stays_a_line():
    line = np.arange(10, dtype=np.float32)[:, None] * np.ones((1, 2), np.float32)
    found = np.asarray(stretch_positions(line, keep=4, factor=2))
    assert found.shape == (16, 2)
    np.testing.assert_allclose(found[4:, 0], 4 + np.arange(12) / 2)


def test_a_short_text_below_the_kept_positions_keeps_its_features():
    short, long = tiny_text(context=24), tiny_text(context=36)
    ids = texts()
    params = params_of(short, ids)
    stretched = fit_params(params, params_of(long, ids))
    assert stretched["position_embedding"].shape == (36, 16)
    np.testing.assert_array_equal(pooled(long, stretched, ids), pooled(short, params, ids))


def test_arrays_without_a_rule_stay_as_they_are():
    x = table()
    assert fit_array("position_embedding", x, (200, 6)) is x
    assert fit_array("token_embedding", x, (248, 6)) is x
    assert fit_array("position_embedding", x, (248, 8)) is x
    assert fit_array("position_embedding", x, (77, 6)) is x
    assert fit_array("position_embedding", x, (248, 6)).shape == (248, 6)


@pytest.mark.parametrize("keep, factor", [(76, 4), (-1, 4), (20, 0)])
def test_stretching_refuses(keep, factor):
    with pytest.raises(UserError, match="stretch"):
        stretch_positions(table(), keep, factor)


def test_temporal_positions():
    old = np.array([[0.0], [4.0]], np.float32)
    np.testing.assert_array_equal(resize_frames(old, 4), [[0], [4], [0], [0]])
    np.testing.assert_array_equal(resize_frames(old, 1), [[0]])
    # Centres of four halves of two: at -1/4 (held at the edge), 1/4, 3/4 and 5/4 (held).
    np.testing.assert_allclose(resize_frames(old, 4, "interpolate"), [[0], [1], [3], [4]], atol=1e-6)
    with pytest.raises(UserError, match="did you mean 'interpolate'"):
        resize_frames(old, 4, "interp")
