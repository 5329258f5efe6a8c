"""Blockwise and ring forms equal the dense one-device float32 oracle, in value and in every gradient separately."""

import contextlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from mmjax.losses import (
    decoupled_contrastive,
    lean,
    sigmoid_contrastive,
    softmax_contrastive,
    supervised_contrastive,
    tiles,
    weighted_contrastive,
)

AXES = ("data", "fsdp", "tensor")
ROWS, WIDTH = 24, 7


def unit(seed, *shape):
    x = np.random.default_rng(seed).normal(size=shape or (ROWS, WIDTH))
    return jnp.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True), jnp.float32)


def sigmoid(x, y, scale, bias=-6.0, **options):
    return sigmoid_contrastive(x, y, scale, bias, **options)


GAPS = {"x_present": jnp.arange(ROWS) % 5 != 1, "y_present": jnp.arange(ROWS) % 4 != 2}
IDS = {"ids": jnp.arange(ROWS) % 7}
# name: (loss, options that are differentiated, options that are not)
CASES = {
    "softmax": (softmax_contrastive, {}, GAPS),
    "softmax, one direction": (softmax_contrastive, {}, {"direction": "y_to_x"}),
    "softmax, smoothed": (softmax_contrastive, {}, {"label_smoothing": 0.1} | GAPS),
    "softmax, ids": (softmax_contrastive, {}, IDS | GAPS),
    "softmax, targets": (softmax_contrastive, {"targets": abs(unit(3, ROWS, ROWS))}, GAPS),
    "softmax, negatives": (
        softmax_contrastive,
        {"negatives": unit(4, 16, WIDTH), "hard_negatives": unit(5, ROWS, 2, WIDTH)},
        {"label_smoothing": 0.2} | GAPS,
    ),
    "softmax, wrong captions": (
        softmax_contrastive,
        {"hard_negatives": unit(7, ROWS, 3, WIDTH), "hard_targets": abs(unit(8, ROWS, 3))},
        {"hard_present": jnp.arange(3 * ROWS).reshape(ROWS, 3) % 4 != 1, "label_smoothing": 0.1} | GAPS,
    ),
    "sigmoid": (sigmoid, {"bias": jnp.float32(-4.0)}, IDS | GAPS),
    "weighted": (weighted_contrastive, {"features": unit(6, ROWS, 5)}, {"sharpness": 2.0} | GAPS),
    "supervised": (supervised_contrastive, {}, IDS | GAPS),
    "decoupled": (decoupled_contrastive, {}, GAPS),
    "decoupled, across": (decoupled_contrastive, {}, {"within": False} | GAPS),
}
MESHES = {"1": (1, 1, 1), "2": (2, 1, 1), "2x2": (2, 2, 1), "2x2x2": (2, 2, 2), "8": (8, 1, 1)}


def gradients(case, impl, dtype=jnp.float32, place=lambda x: x):
    """(value, gradients in x, y, scale and the case's own) of a case of CASES."""
    loss, differentiated, others = CASES[case]

    def total(x, y, scale, differentiated):
        return loss(x, y, scale, impl=impl, **differentiated, **others)

    x, y = (place(unit(seed).astype(dtype)) for seed in (0, 1))
    return jax.jit(jax.value_and_grad(total, (0, 1, 2, 3)))(x, y, jnp.float32(9.0), differentiated)


@pytest.fixture(scope="module")
def oracle():
    kept = {}

    def dense(case):
        if case not in kept:
            kept[case] = jax.device_get(gradients(case, "dense"))
        return kept[case]

    return dense


@pytest.fixture(autouse=True)
def uneven_tiles(monkeypatch):
    """Tiles of 5, 5, 5, 5 and 4 of 24 rows; on a ring of two, of 4, 4 and 4 of a device's 12 and 3 and 3 of a half."""
    monkeypatch.setattr(tiles, "TILE_ROWS", 5)


def in_mesh(shape, types=AxisType.Auto):
    devices = jax.devices()[: int(np.prod(shape))]
    return jax.set_mesh(jax.make_mesh(shape, AXES, devices=devices, axis_types=(types,) * 3))


def assert_equal(got, expected, rtol=1e-5):
    """Elementwise to `rtol`, and to a tenth of it of the largest entry where entries cancel to nearly nothing."""
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(jax.device_get(got)), jax.tree.leaves(expected), strict=True
    ):
        b = np.asarray(b)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol / 10 * np.abs(b).max(), err_msg=str(path))


@pytest.mark.parametrize("case", CASES)
def test_blockwise_equals_dense(case, oracle):
    assert_equal(gradients(case, "blockwise"), oracle(case))


@pytest.mark.parametrize("case", CASES)
def test_ring_of_eight_equals_dense(case, oracle):
    with in_mesh((8, 1, 1)):
        assert_equal(gradients(case, "ring"), oracle(case))


@pytest.mark.parametrize("mesh", [m for m in MESHES if m != "8"])
@pytest.mark.parametrize("case", ["softmax", "sigmoid", "weighted"])
def test_ring_of_any_mesh_equals_dense(case, mesh, oracle):
    with in_mesh(MESHES[mesh]) as _:
        assert_equal(gradients(case, "ring"), oracle(case))


def test_ring_on_a_mesh_of_explicit_axes(oracle):
    with in_mesh((4, 2, 1), AxisType.Explicit):
        assert_equal(gradients("softmax", "ring"), oracle("softmax"))
        placed = gradients("softmax", "ring", place=lambda x: jax.device_put(x, P(("data", "fsdp"))))
        assert_equal(placed, oracle("softmax"))
        assert placed[1][0].sharding.spec[0] == ("data", "fsdp")


@pytest.mark.parametrize("impl", ["blockwise", "ring"])
@pytest.mark.parametrize("case", ["softmax", "sigmoid"])
def test_bfloat16_embeddings_are_near_the_float32_oracle(case, impl):
    """Products are exact; what is rounded is the cotangent, to 8 bits, so gradients err by 2^-8 of the largest."""
    loss, differentiated, others = CASES[case]
    x, y = (unit(seed).astype(jnp.bfloat16).astype(jnp.float32) for seed in (0, 1))
    total = lambda x, y, s, d: loss(x, y, s, impl="dense", **d, **others)  # noqa: E731
    expected = jax.jit(jax.value_and_grad(total, (0, 1, 2, 3)))(x, y, jnp.float32(9.0), differentiated)
    with in_mesh((8, 1, 1)):
        got = gradients(case, impl, jnp.bfloat16)
    assert got[0] == pytest.approx(float(expected[0]), rel=1e-5)
    for a, b in zip(jax.tree.leaves(got[1][:2]), jax.tree.leaves(expected[1][:2]), strict=True):
        assert a.dtype == jnp.bfloat16
        assert np.abs(np.asarray(a, np.float32) - b).max() < 2**-7 * np.abs(b).max()
    assert_equal(got[1][2:], expected[1][2:])


@pytest.mark.parametrize("impl", ["dense", "blockwise", "ring"])
@pytest.mark.parametrize("case", ["softmax", "sigmoid", "supervised", "decoupled", "weighted"])
def test_absent_rows_get_no_gradient_whatever_they_hold(case, impl):
    loss = CASES[case][0]
    x, y = unit(0).at[1].set(jnp.nan), unit(1).at[2].set(jnp.inf)
    with in_mesh((8, 1, 1)) if impl == "ring" else contextlib.nullcontext():
        total = lambda x, y: loss(x, y, jnp.float32(9.0), impl=impl, **GAPS)  # noqa: E731
        value, (dx, dy) = jax.device_get(jax.jit(jax.value_and_grad(total, (0, 1)))(x, y))
    assert np.isfinite(value)
    assert not dx[~GAPS["x_present"]].any()
    assert not dy[~GAPS["y_present"]].any()
    assert np.isfinite(dx).all() and np.isfinite(dy).all()
    assert dx[GAPS["x_present"]].any(axis=1).all()


@pytest.mark.parametrize("impl", ["dense", "blockwise"])
@pytest.mark.parametrize("case", ["softmax", "sigmoid", "supervised", "decoupled", "weighted"])
def test_nothing_present_gives_zero(case, impl):
    loss, nobody = CASES[case][0], jnp.zeros((ROWS,), bool)
    for absent in ({"x_present": nobody}, {"y_present": nobody}, {"x_present": nobody, "y_present": nobody}):
        if case in ("supervised", "decoupled") and len(absent) < 2:
            continue  # the other view is a batch of its own
        total = lambda x, y, a=absent: loss(x, y, jnp.float32(9.0), impl=impl, **a)  # noqa: E731
        value, grads = jax.value_and_grad(total, (0, 1))(unit(0), unit(1))
        assert value == 0
        assert all(not g.any() for g in grads)


@pytest.mark.parametrize("case", ["softmax", "sigmoid", "supervised", "decoupled"])
def test_rows_absent_on_both_sides_are_as_if_left_out(case):
    loss, there = CASES[case][0], np.arange(ROWS) % 3 != 0
    present = {"x_present": jnp.asarray(there), "y_present": jnp.asarray(there)}
    whole = loss(unit(0), unit(1), jnp.float32(9.0), impl="blockwise", **present)
    assert whole == pytest.approx(float(loss(unit(0)[there], unit(1)[there], jnp.float32(9.0))), rel=1e-6)


def shapes_in(text):
    return {tuple(map(int, m.split(","))) for m in re.findall(r"\w+\[([\d,]+)\]", text)}


@pytest.mark.parametrize("loss", [softmax_contrastive, sigmoid])
def test_no_program_holds_more_logits_than_a_tile(loss, monkeypatch):
    monkeypatch.setattr(tiles, "TILE_ROWS", 64)
    rows = 1024

    def compiled(impl, shape):
        with in_mesh(shape):
            sharding = NamedSharding(jax.sharding.get_mesh(), P(("data", "fsdp")))
            x = jax.ShapeDtypeStruct((rows, 16), jnp.float32, sharding=sharding)
            grads = jax.value_and_grad(lambda x, y, s: loss(x, y, s, impl=impl), (0, 1, 2))
            return jax.jit(grads).lower(x, x, jax.ShapeDtypeStruct((), jnp.float32)).compile()

    one, eight = (1, 1, 1), (8, 1, 1)
    dense, blockwise, ring = compiled("dense", one), compiled("blockwise", one), compiled("ring", eight)
    assert dense.memory_analysis().temp_size_in_bytes >= rows * rows * 4
    for program in (blockwise, ring):
        assert program.memory_analysis().temp_size_in_bytes < rows * rows * 4 / 4
        assert all(np.prod(shape) < rows * rows / 8 for shape in shapes_in(program.as_text()))
    assert "collective-permute" in ring.as_text()
    assert "all-gather" not in ring.as_text()
    # The local batch is 128, in tiles of 64: no array has a side as long as the whole batch.
    assert all(max(shape) < rows for shape in shapes_in(ring.as_text().split("ENTRY")[0]))


def test_auto_chooses_by_the_memory_of_the_dense_form(monkeypatch, caplog):
    caplog.set_level("INFO", "mmjax")
    assert lean.choose_impl("auto", 1024, 1024) == "dense"
    assert lean.choose_impl("auto", 32768, 32768) == "blockwise"
    with in_mesh((4, 2, 1)):
        assert lean.choose_impl("auto", 8192, 8192) == "dense"  # 96 MiB on each of 8 devices
        assert lean.choose_impl("auto", 32768, 32768) == "ring"
        assert lean.choose_impl("auto", 32767, 32767) == "blockwise"  # does not divide
    assert "32768 x 32768 pairs on 8 device(s): ring (dense would take 1536 MiB a device" in caplog.text


def test_what_a_ring_demands():
    x = unit(0)
    with pytest.raises(ValueError, match="impl='ring' needs a mesh with the axis data or fsdp, and there is no mesh"):
        softmax_contrastive(x, x, 1.0, impl="ring")
    with (
        jax.set_mesh(jax.make_mesh((8,), ("model",), axis_types=(AxisType.Auto,))),
        pytest.raises(ValueError, match="the mesh here has model"),
    ):
        softmax_contrastive(x, x, 1.0, impl="ring")
    with in_mesh((8, 1, 1)), pytest.raises(ValueError, match=r"20 rows do not divide over the 8 devices .*'fsdp'\)"):
        softmax_contrastive(x[:20], x[:20], 1.0, impl="ring")
    with pytest.raises(ValueError, match="unknown impl 'rign': use one of dense, blockwise, ring, auto"):
        softmax_contrastive(x, x, 1.0, impl="rign")
