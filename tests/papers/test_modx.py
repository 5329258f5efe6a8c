"""Mod-X: the divergence of contrastive matrices against numpy, what is exactly 0, and what is remembered."""

import jax
import numpy as np
import pytest

from mmjax.losses import off_diagonal_distillation
from tests.papers.running import check_mesh, config_of, run

B, D, SCALE = 8, 6, 8.0


def unit(rng, *shape):
    x = rng.normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rows():
    """New x and y, and old ones, wider, of which some find their partners."""
    rng = np.random.default_rng(0)
    old = unit(rng, B, D + 2)
    return unit(rng, B, D), unit(rng, B, D), old, unit(rng, B, D + 2) * 0.9 + old * (np.arange(B) < 5)[:, None]


def numpy_loss(x, y, old_x, old_y, selective, divergence):
    logs = []
    for a, b in ((x, y), (old_x, old_y)):
        z = SCALE * np.float64(a) @ np.float64(b).T
        logs.append(z - np.log(np.exp(z).sum(1, keepdims=True)))
    first, second = logs if divergence == "new_old" else logs[::-1]
    terms = (np.exp(first) * (first - second)).sum(1)
    found = logs[1].argmax(1) == np.arange(B)
    return np.mean(np.where(found, terms, 0) if selective else terms), found


@pytest.mark.parametrize("selective", [True, False])
@pytest.mark.parametrize("divergence", ["new_old", "old_new"])
def test_formula(rows, selective, divergence):
    options = {"selective": selective, "divergence": divergence}
    want, found = numpy_loss(*rows, **options)
    assert 0 < found.sum() < B
    np.testing.assert_allclose(off_diagonal_distillation(*rows, SCALE, **options), want, rtol=1e-5)


def test_nothing_to_remember(rows):
    """0 and no gradient where new is old; a row in which the old model errs has none."""
    x, y, old_x, old_y = rows
    value, gradient = jax.value_and_grad(lambda x: off_diagonal_distillation(x, y, rows[0], y, SCALE, selective=False))(
        x
    )
    np.testing.assert_allclose(value, 0, atol=1e-6)
    np.testing.assert_allclose(gradient, 0, atol=1e-5)
    _, found = numpy_loss(*rows, True, "new_old")
    gradient = jax.grad(lambda x: off_diagonal_distillation(x, y, old_x, old_y, SCALE))(x)
    assert not gradient[~found].any() and gradient[found].any(axis=1).all()
    assert not jax.grad(lambda old: off_diagonal_distillation(x, y, old, old_y, SCALE))(old_x).any()


def test_lean_and_missing(rows):
    """Tiles of 3 anchors give the dense value and gradients; what missing rows hold does not matter."""
    x, y, old_x, old_y = rows
    there = np.arange(B) != 2

    def loss(x, y, scale, old_y, impl):
        options = {"selective": False, "y_present": there, "impl": impl, "block": 3}
        return off_diagonal_distillation(x, y, old_x, old_y, scale, **options)

    step = jax.jit(jax.value_and_grad(loss, (0, 1, 2)), static_argnums=4)
    dense = step(x, y, SCALE, old_y, "dense")
    broken = np.where(there[:, None], old_y, np.nan)
    for other in (step(x, y, SCALE, old_y, "blockwise"), step(x, y, SCALE, broken, "dense")):
        for a, b in zip(jax.tree.leaves(other), jax.tree.leaves(dense), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * max(np.abs(b).max(), 1.0))


@pytest.mark.parametrize("case", ["one row", "all missing", "aligned"])
def test_edges(case, rows):
    x, y, old_x, old_y = (r[:1] for r in rows) if case == "one row" else rows
    y = x if case == "aligned" else y
    there = np.full(len(x), case != "all missing")
    loss = lambda x: off_diagonal_distillation(x, y, old_x, old_y, SCALE, selective=False, x_present=there)  # noqa: E731
    value, gradient = jax.value_and_grad(loss)(x)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_bad_input(rows):
    with pytest.raises(ValueError, match="divergence"):
        off_diagonal_distillation(*rows, SCALE, divergence="both")
    with pytest.raises(ValueError, match="old_x"):
        off_diagonal_distillation(*rows[:2], *(r[:4] for r in rows[2:]), SCALE)


@pytest.mark.slow
def test_meshes_and_micro_batches():
    """The frozen teacher's features are of the same micro-batches."""
    config = config_of("modx", "all_rows", batch_size=16)
    config.data.source = "latent:train,shared=4,widths=6/5,count=64"
    config.towers.vector.hidden = config.towers.vector_2.hidden = config.embed_dim = 8
    check_mesh(config)


@pytest.mark.slow
def test_what_is_remembered_costs_what_is_learned(tmp_path):
    """The older domain stays, and the newer one is learned less well than without the term."""
    run("modx", "old", workdir=tmp_path / "old")
    found = {}
    for arm in ("plain", "modx"):
        found[arm] = run("modx", arm, workdir=tmp_path / arm, init_from=str(tmp_path / "old"))
    old, new = ("val/old/vector_to_vector_2_R@1", "val/new/vector_to_vector_2_R@1")
    assert found["modx"][old] > found["plain"][old] + 0.015
    assert found["modx"][new] < found["plain"][new] - 0.03
