"""What every loss of many modalities promises: lean forms, missing samples, meshes, equal treatment, clear refusals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mmjax import losses
from mmjax.mesh import batch_sharding, make_mesh
from tests.losses.many_modalities import assert_close, float32, random_permutations, unit_vectors

SCALE = 7.0
ROWS = 16


def symile_n(vectors, scale, **options):
    """ "n" with shuffles that are a function of the shape alone."""
    permutations = random_permutations(5, len(vectors), len(vectors[0]))
    return losses.symile(vectors, scale, permutations=permutations, **options)


def gram(vectors, scale, **options):
    return losses.gram_contrastive(vectors[0], vectors[1:], scale, label_smoothing=0.1, **options)


LOSSES = {
    "symile n": symile_n,
    "symile n_squared": functools.partial(losses.symile, negatives="n_squared"),
    "gram": gram,
    "mv_infonce": losses.mv_infonce,
    "mv_dhel": losses.mv_dhel,
}
every_loss = pytest.mark.parametrize("name", LOSSES)
every_form = pytest.mark.parametrize("impl", ["dense", "blockwise"])
everywhere = [jnp.ones(ROWS, bool)] * 3
gaps = [jnp.asarray(p) for p in np.random.default_rng(1).random((3, ROWS)) < 0.7]
vectors = unit_vectors(0, 3, ROWS, 6)


def gradient_of(name, **options):
    def loss(vectors, scale, present):
        return LOSSES[name](vectors, scale, present=present, **options)

    return jax.value_and_grad(loss, (0, 1))


@functools.cache
def compiled(name, impl):
    """(vectors, scale, present) -> (value, (gradients of the vectors, of the scale)); uneven tiles of 16 anchors."""
    return jax.jit(gradient_of(name, impl=impl, block=5))


def evaluate(name, impl, vectors, present):
    return compiled(name, impl)(float32(vectors), jnp.float32(SCALE), present)


@every_loss
@pytest.mark.parametrize("present", [everywhere, gaps], ids=["all there", "some missing"])
def test_blockwise_equals_dense(name, present):
    dense = evaluate(name, "dense", vectors, present)
    assert all(np.any(g) for g in dense[1][0]) and dense[1][1] != 0
    assert_close(evaluate(name, "blockwise", vectors, present), dense, rtol=1e-5, atol=2e-7)


@pytest.mark.parametrize("block", [1, 300])
def test_tiles_of_one_anchor_and_of_more_than_there_are(block):
    lean = jax.jit(gradient_of("mv_dhel", impl="blockwise", block=block))(float32(vectors), jnp.float32(SCALE), gaps)
    assert_close(lean, evaluate("mv_dhel", "dense", vectors, gaps), rtol=1e-5, atol=2e-7)


@every_loss
@every_form
def test_absent_rows_have_exactly_no_gradient_whatever_they_hold(name, impl):
    assert not any(p.all() for p in gaps) and (gaps[0] & gaps[1] & gaps[2]).any()
    dirty = [np.where(np.asarray(p)[:, None], v, np.nan) for v, p in zip(vectors, gaps, strict=True)]
    value, gradients = evaluate(name, impl, dirty, gaps)
    assert_close((value, gradients), evaluate(name, impl, vectors, gaps), rtol=0, atol=0)
    assert np.isfinite(value)
    for gradient, p in zip(gradients[0], gaps, strict=True):
        assert np.all(gradient[~np.asarray(p)] == 0)
        assert np.any(gradient[np.asarray(p)] != 0)


@every_loss
def test_samples_that_are_missing_whole_might_as_well_not_be_in_the_batch(name):
    rows = np.array([0, 1, 3, 6, 7, 10, 15])
    there = jnp.zeros(ROWS, bool).at[rows].set(True)
    loss, of_all, of_few = LOSSES[name], {}, {}
    if name == "symile n":  # shuffles that leave the missing ones where they are
        loss, few = losses.symile, random_permutations(6, 3, len(rows))
        shuffles = np.broadcast_to(np.arange(ROWS), (3, 2, ROWS)).copy()
        shuffles[..., rows] = rows[few]
        of_all, of_few = {"permutations": shuffles}, {"permutations": few}
    whole = jax.jit(jax.value_and_grad(lambda v: loss(v, SCALE, present=[there] * 3, **of_all)))
    alone = jax.jit(jax.value_and_grad(lambda v: loss(v, SCALE, **of_few)))
    value, gradients = whole(float32(vectors))
    expected = alone(float32([v[rows] for v in vectors]))
    assert_close((value, [g[rows] for g in gradients]), expected, rtol=1e-5, atol=2e-7)


@every_loss
@every_form
def test_nothing_there_is_zero_and_not_nan(name, impl):
    got = evaluate(name, impl, [np.full((ROWS, 6), np.nan)] * 3, [jnp.zeros(ROWS, bool)] * 3)
    assert_close(got, jax.tree.map(jnp.zeros_like, got), rtol=0, atol=0)


@every_loss
@every_form
def test_a_modality_absent_from_every_sample(name, impl):
    got = evaluate(name, impl, vectors, [everywhere[0], ~everywhere[0], everywhere[0]])
    if name.startswith("mv"):  # the two views that are there
        expected = LOSSES[name](float32([vectors[0], vectors[2]]), SCALE)
        np.testing.assert_allclose(got[0], expected, rtol=1e-6)
        np.testing.assert_array_equal(got[1][0][1], 0)
    else:
        assert_close(got, jax.tree.map(jnp.zeros_like, got), rtol=0, atol=0)


@every_loss
@every_form
def test_one_sample_alone(name, impl):
    alone = [jnp.arange(ROWS) == 4] * 3
    value, gradients = evaluate(name, impl, vectors, alone)
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))
    a, b, c = (v[4] for v in vectors)
    negatives_free = -np.log(2 * sum(np.exp(SCALE * u @ v) for u, v in ((a, b), (a, c), (b, c))))
    assert value == pytest.approx(negatives_free if name == "mv_dhel" else 0.0, abs=1e-6, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "impl"), [*((name, "blockwise") for name in LOSSES), ("symile n", "dense"), ("gram", "dense")]
)
def test_a_batch_over_eight_devices_gives_the_one_device_loss(name, impl):
    mesh = make_mesh({"data": 4, "fsdp": 2, "tensor": 1})
    rows, whole = batch_sharding(mesh), NamedSharding(mesh, PartitionSpec())
    step = jax.jit(
        gradient_of(name, impl=impl, block=5),
        in_shardings=(rows, whole, rows),
        out_shardings=(whole, (rows, whole)),
    )
    eight = step(*jax.device_put((float32(vectors), jnp.float32(SCALE), gaps), (rows, whole, rows)))
    assert len(eight[1][0][0].sharding.device_set) == 8
    assert_close(eight, evaluate(name, "dense", vectors, gaps), rtol=1e-5, atol=2e-7)


@every_loss
def test_blockwise_never_holds_a_batch_of_logits(name):
    squared = name == "symile n_squared"
    rows, width, block = (96, 8, 16) if squared else (1536, 16, 32)
    shapes = [jax.ShapeDtypeStruct((rows, width), jnp.float32)] * 3
    scale = jax.ShapeDtypeStruct((), jnp.float32)

    def temporary(**options):
        run = jax.jit(lambda v, s: gradient_of(name, **options)(v, s, None))
        return run.lower(shapes, scale).compile().memory_analysis().temp_size_in_bytes

    all_logits = 4 * rows ** (3 if squared else 2)
    lean, dense = temporary(impl="blockwise", block=block), temporary(impl="dense")
    assert 4 * block * rows < lean < all_logits < dense  # the lower limit: the measure does see a tile


@every_loss
def test_bfloat16_rows(name):
    half = [jnp.asarray(v, jnp.bfloat16) for v in vectors]
    value, (gradients, _) = jax.jit(gradient_of(name))(half, jnp.float32(SCALE), gaps)
    assert value.dtype == jnp.float32 and gradients[0].dtype == jnp.bfloat16
    exact = evaluate(name, "dense", half, gaps)  # of the rounded rows, as float32
    np.testing.assert_allclose(value, exact[0], rtol=1e-5)
    for rounded, gradient in zip(gradients, exact[1][0], strict=True):  # cotangents are rounded to bfloat16 too
        error = np.abs(rounded.astype(jnp.float32) - gradient.astype(jnp.float32)).max()
        assert error < 2**-6 * np.abs(gradient.astype(jnp.float32)).max()


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "symile n"])  # its shuffles are by position
def test_order_of_samples_means_nothing(name):
    order = np.random.default_rng(13).permutation(ROWS)
    value, (gradients, _) = evaluate(name, "dense", vectors, gaps)
    moved = evaluate(name, "dense", [v[order] for v in vectors], [p[order] for p in gaps])
    assert_close((moved[0], moved[1][0]), (value, [g[order] for g in gradients]), rtol=1e-5, atol=2e-7)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "symile n"])
def test_order_of_modalities_means_nothing(name):
    order = [0, 2, 1] if name == "gram" else [2, 0, 1]  # gram's first is its anchor
    value, (gradients, _) = evaluate(name, "dense", vectors, gaps)
    moved = evaluate(name, "dense", [vectors[m] for m in order], [gaps[m] for m in order])
    assert_close((moved[0], moved[1][0]), (value, [gradients[m] for m in order]), rtol=1e-5, atol=2e-7)


@every_loss
def test_bad_input_names_argument_shape_and_remedy(name):
    loss, x = LOSSES[name], jnp.ones((4, 3))
    for message, arguments, options in [
        (r"\(5, 3\).*must be \(4, width\)", ([x, x, jnp.ones((5, 3))], SCALE), {}),
        (r"\(4, 3\).*\(4, 2\)", ([x, x, jnp.ones((4, 2))], SCALE), {}),
        (r"int32 \(4, 3\).*floating", ([x, x, jnp.ones((4, 3), jnp.int32)], SCALE), {}),
        (r"row 2 of .*not finite", ([x, x, x.at[2, 0].set(jnp.nan)], SCALE), {}),
        ("scale is -1.0", ([x, x], -1.0), {}),
        (r"scale has shape \(2,\)", ([x, x], jnp.ones(2)), {}),
        ("present has 1 entries for 2 modalities", ([x, x], SCALE), {"present": [None]}),
        (r"present of .* \(3,\) must be \(4,\)", ([x, x], SCALE), {"present": [None, jnp.ones(3, bool)]}),
        ("give booleans", ([x, x], SCALE), {"present": [None, jnp.ones(4)]}),
        ("unknown impl 'ring': use one of dense, blockwise", ([x, x], SCALE), {"impl": "ring"}),
        ("block is 0", ([x, x], SCALE), {"impl": "blockwise", "block": 0}),
    ]:
        with pytest.raises(ValueError, match=message):
            loss(*arguments, **options)
