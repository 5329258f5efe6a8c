"""SogCLR, iSogCLR and FastCLIP: formulas against numpy, the fixed point of temperatures, the state of examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.losses import decoupled_contrastive, global_contrastive, tiles
from mmjax.objectives import FastCLIP, ISogCLR, SogCLR
from tests.papers.running import check_mesh, config_of, run

B, D = 8, 6


def unit(rng, *shape):
    x = rng.normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def direction(similar, tau, u, gamma, rho, valid, there):
    """The papers' formulas for anchors in the rows of `similar`: (loss terms, new u, slope, d terms / d similar)."""
    n = len(similar)
    terms, new, slope, gradient = np.zeros(n), np.ones(n), np.zeros(n), np.zeros((n, n))
    for i in np.flatnonzero(valid):
        others = [j for j in range(n) if j != i and there[j]]
        h = similar[i, others] - similar[i, i]
        weights = np.exp(h / tau[i]) / len(others)
        g = weights.sum()
        new[i] = g if u is None else (1 - gamma) * u[i] + gamma * g
        terms[i] = tau[i] * (np.log(new[i]) + rho)
        slope[i] = np.log(new[i]) + rho + tau[i] / new[i] * (weights * -h / tau[i] ** 2).sum()
        gradient[i, others] = tau[i] / new[i] * weights / tau[i]
        gradient[i, i] = -gradient[i, others].sum()
    count = valid.sum()
    return terms.sum() / count, new, slope, gradient / count


def both_directions(x, y, tau_x, tau_y, u_x, u_y, gamma, rho, there):
    """Loss, u and slopes of both sides, and the gradient in x, in float64."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    one = direction(x @ y.T, tau_x, u_x, gamma, rho, there, np.ones(len(x), bool))
    two = direction(y @ x.T, tau_y, u_y, gamma, rho, there, there)
    return (one[0] + two[0]) / 2, one, two, (one[3] @ y + two[3].T @ y) / 2


def test_formulas(rng):
    """Loss, running estimates, slopes and gradient are the papers', with a row of x missing."""
    x, y, there = unit(rng, B, D), unit(rng, B, D), np.arange(B) != 2
    taus, us = rng.uniform(0.1, 0.5, (2, B)).astype(np.float32), rng.uniform(0.5, 2, (2, B)).astype(np.float32)

    def loss(x):
        old = {"x_log_u": np.log(us[0]), "y_log_u": np.log(us[1])}
        value, *anchors = global_contrastive(x, y, *taus, **old, gamma=0.3, rho=2.0, x_present=there)
        return value, anchors

    (value, anchors), gradient = jax.value_and_grad(loss, has_aux=True)(x)
    want, *sides, dx = both_directions(x, y, *taus.astype(np.float64), *us, 0.3, 2.0, there)
    np.testing.assert_allclose(value, want, rtol=1e-5)
    np.testing.assert_allclose(gradient, np.where(there[:, None], dx, 0), rtol=1e-4, atol=1e-6)
    for got, (_, u, slope, _) in zip(anchors, sides, strict=True):
        np.testing.assert_array_equal(got.valid, there)
        np.testing.assert_allclose(np.exp(got.log_u)[there], u[there], rtol=1e-5)
        np.testing.assert_allclose(got.slope[there], slope[there], rtol=1e-4, atol=1e-5)


def test_gamma_one_is_the_loss_without_the_positive(rng):
    """With one temperature and nothing remembered: tau times DCL between the two streams, less a constant."""
    x, y, tau = unit(rng, B, D), unit(rng, B, D), 0.2

    def ours(x, tau):
        return global_contrastive(x, y, tau, tau, rho=1.5)[0]

    def theirs(x, tau):
        return tau * (decoupled_contrastive(x, y, 1 / tau, within=False) - np.log(B - 1) + 1.5)

    got, want = (jax.value_and_grad(f, (0, 1))(x, jnp.float32(tau)) for f in (ours, theirs))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_lean_forms(rng, monkeypatch):
    """Tiles and a ring of four devices give the dense value and gradients, and the same anchors."""
    monkeypatch.setattr(tiles, "TILE_ROWS", 3)
    x, y, there = unit(rng, B, D), unit(rng, B, D), np.arange(B) != 5
    taus, old = rng.uniform(0.05, 0.5, (2, B)).astype(np.float32), rng.normal(size=(2, B)).astype(np.float32)

    def loss(x, y, taus, impl):
        options = {"x_log_u": old[0], "y_log_u": old[1], "gamma": 0.3, "rho": 2.0, "y_present": there, "impl": impl}
        value, *anchors = global_contrastive(x, y, *taus, **options)
        return value, anchors

    step = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True), static_argnums=3)
    dense = jax.device_get(step(x, y, taus, "dense"))
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])
    for impl in ("blockwise", "ring"):
        with jax.set_mesh(mesh):
            lean = jax.device_get(step(x, y, taus, impl))
        assert jax.tree.structure(lean) == jax.tree.structure(dense)
        for a, b in zip(jax.tree.leaves(lean), jax.tree.leaves(dense), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * np.abs(b).max())


@pytest.mark.parametrize("case", ["aligned", "zero rows", "all missing", "one row", "cold"])
def test_edges(case, rng):
    """Loss and gradients are finite; nothing to contrast makes both zero."""
    rows = 1 if case == "one row" else B
    x, y, there, tau = unit(rng, rows, D), unit(rng, rows, D), np.ones(rows, bool), 0.1
    if case == "aligned":
        y = x
    if case == "zero rows":
        x = np.zeros_like(x)
    if case == "all missing":
        there = np.zeros(rows, bool)
    if case == "cold":
        tau = 0.001

    def loss(x, y, tau):
        return global_contrastive(x, y, tau, tau, x_present=there, gamma=0.5, x_log_u=jnp.zeros(rows))[0]

    value, gradients = jax.value_and_grad(loss, (0, 1, 2))(x, y, jnp.float32(tau))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, gradients)))
    if case in ("all missing", "one row"):
        assert value == 0 and not any(np.any(leaf) for leaf in jax.tree.leaves(gradients))


def features_of(x, y):
    return {"image": Features(jnp.asarray(x)), "text": Features(jnp.asarray(y))}


def steps_of(objective, x, y, ids, steps, state=None):
    """The state and the last metrics after some steps on the same features."""
    features, batch = features_of(x, y), {"id": jnp.asarray(ids, jnp.int32)}
    variables = objective.init(jax.random.key(0), features, batch, train=True)
    params, state = variables.get("params", {}), state or variables["state"]

    @jax.jit
    def step(state):
        out, changed = objective.apply({"params": params, "state": state}, features, batch, train=True, mutable="state")
        return out, changed["state"]

    for _ in range(steps):
        (loss, metrics), state = step(state)
    return state, (loss, metrics)


def test_temperatures_settle_where_the_divergence_is_rho(rng):
    """The fixed point: KL of an anchor's weights over negatives from the even ones is rho; above log(B - 1) it is
    out of reach, and the temperature falls to its least."""
    x, y, rho = unit(rng, B, D), unit(rng, B, D), 0.7
    objective = ISogCLR(examples=B, gamma=1.0, rho=rho, rate=0.05, momentum=1.0, temperature=0.3)
    state, _ = steps_of(objective, x, y, np.arange(B), 400)
    for anchors, tau in (
        (x @ y.T, state["example_temperature"][:B, 0]),
        (y @ x.T, state["example_temperature"][:B, 1]),
    ):
        for i in range(B):
            h = np.delete(anchors[i], i) / tau[i]
            w = np.exp(h - h.max()) / np.exp(h - h.max()).sum()
            assert np.sum(w * np.log(w * (B - 1))) == pytest.approx(rho, abs=1e-3)
    state, _ = steps_of(objective.clone(rho=2.0), x, y, np.arange(B), 400)
    np.testing.assert_allclose(state["example_temperature"][:B], 0.005)


def test_examples_are_remembered_by_id(rng):
    """Only the rows of the batch's ids change; of equal ids the last counts; the share gamma mixes old and new."""
    x, y = unit(rng, 4, D), unit(rng, 4, D)
    objective = SogCLR(examples=20, gamma=0.25, temperature=0.2)
    state, _ = steps_of(objective, x, y, [3, 7, 3, 0], 1)
    log_u = np.asarray(state["example_log_u"])
    assert log_u.shape == (1024, 2)
    assert sorted(np.flatnonzero(np.isfinite(log_u[:, 0]))) == [0, 3, 7]
    _, one, two = global_contrastive(x, y, 0.2, 0.2)
    np.testing.assert_allclose(log_u[3], [one.log_u[2], two.log_u[2]], rtol=1e-6)
    again, _ = steps_of(objective, y, x, [3, 7, 5, 0], 1, state=state)
    _, three, _ = global_contrastive(y, x, 0.2, 0.2)
    want = 0.75 * np.exp(log_u[7, 0]) + 0.25 * np.exp(three.log_u[1])
    np.testing.assert_allclose(np.exp(again["example_log_u"][7, 0]), want, rtol=1e-5)


def test_share_of_the_new_falls_along_half_a_cosine(rng):
    """From 1 to gamma: after half the steps, half way."""
    x, y = unit(rng, 4, D), unit(rng, 4, D)
    objective = SogCLR(examples=4, gamma=0.2, gamma_steps=4)
    state, _ = steps_of(objective, x, y, np.arange(4), 2)
    with_half = state | {"example_log_u": jnp.zeros((1024, 2))}
    after, _ = steps_of(objective, x, y, np.arange(4), 1, state=with_half)
    g = np.exp(global_contrastive(x, y, 0.07, 0.07)[1].log_u)
    np.testing.assert_allclose(np.exp(after["example_log_u"][:4, 0]), 0.4 + 0.6 * g, rtol=1e-4)


def test_the_learned_temperature_has_the_papers_gradient(rng):
    """d/dtau of tau (log u + rho) with u moving, half the sum of both directions' means; here of log(1/tau)."""
    x, y = unit(rng, B, D), unit(rng, B, D)
    objective, features = FastCLIP(examples=B, rho=3.0, gamma=0.5, temperature=0.2), features_of(x, y)
    batch = {"id": jnp.arange(B)}
    variables = objective.init(jax.random.key(0), features, batch, train=True)
    state = {"example_log_u": jnp.full((1024, 2), jnp.log(2.0))}

    def loss(params):
        return objective.apply({"params": params, "state": state}, features, batch, train=True, mutable="state")[0][0]

    got = jax.grad(loss)(variables["params"])["logit_scale"]
    tau, u = np.full(B, 0.2), np.full(B, 2.0)
    _, one, two, _ = both_directions(x, y, tau, tau, u, u, 0.5, 3.0, np.ones(B, bool))
    assert got == pytest.approx(-0.2 * (one[2].mean() + two[2].mean()) / 2, rel=1e-4)


def test_bad_input(rng):
    x, y = unit(rng, 4, D), unit(rng, 4, D)
    with pytest.raises(ValueError, match="gamma"):
        global_contrastive(x, y, 0.1, 0.1, gamma=0.0)
    with pytest.raises(ValueError, match="x_temperature"):
        global_contrastive(x, y, np.ones(3, np.float32), 0.1)
    with pytest.raises(ValueError, match="y_log_u"):
        global_contrastive(x, y, 0.1, 0.1, y_log_u=np.zeros(5, np.float32))
    with pytest.raises(UserError, match="no example"):
        SogCLR().init(jax.random.key(0), features_of(x, y), {"id": jnp.arange(4)}, train=True)


@pytest.mark.slow
def test_meshes_and_micro_batches():
    """The state is split over devices; losses and parameters stay."""
    config = config_of("isogclr", "isogclr", batch_size=16)
    config.towers.image.width = config.towers.text.width = 16
    check_mesh(config)


@pytest.mark.slow
def test_a_small_batch_suffices(tmp_path):
    """SogCLR at batch 32 finds the caption of a known concept in an unseen style; chance is 0.3 %."""
    assert run("isogclr", "sogclr", workdir=tmp_path)["val/style/image_to_text_R@1"] > 0.17
