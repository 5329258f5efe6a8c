"""TCL: both losses against numpy and each other's limits, the queue, lean forms, meshes, and noisy pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.losses import local_contrastive, momentum_contrastive, softmax_contrastive
from mmjax.objectives import TripleContrastive
from tests.papers.running import check_mesh, config_of, run

B, D, N, T, SCALE = 6, 5, 4, 3, 6.0


def unit(rng, *shape):
    x = rng.normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def log_softmax(z):
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def test_momentum_formula(rng):
    """Soft targets over batch and queue, one queue entry not filled and one key missing."""
    x, keys, momentum, queue = (np.float64(unit(rng, n, D)) for n in (B, B, B, N))
    filled, there = np.arange(N) != 1, np.arange(B) != 4
    candidates = np.concatenate([keys[there], queue[filled]])
    log_p, soft = log_softmax(SCALE * x @ candidates.T), np.exp(log_softmax(SCALE * momentum @ candidates.T))
    hard = np.zeros_like(soft)
    hard[np.flatnonzero(there), np.arange(there.sum())] = 1
    want = -np.sum((0.4 * soft + 0.6 * hard) * log_p, axis=1)[there].mean()
    options = {"queue": queue, "queue_present": filled, "momentum_x": momentum, "keys_present": there}
    x, keys, options["queue"], options["momentum_x"] = (np.float32(a) for a in (x, keys, queue, momentum))
    np.testing.assert_allclose(momentum_contrastive(x, keys, SCALE, **options, alpha=0.4), want, rtol=1e-5)


def test_without_queue_and_soft_targets_it_is_infonce(rng):
    x, y = unit(rng, B, D), unit(rng, B, D)
    got = jax.value_and_grad(lambda x: momentum_contrastive(x, y, SCALE))(x)
    want = jax.value_and_grad(lambda x: softmax_contrastive(x, y, SCALE, direction="x_to_y"))(x)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert not jax.grad(lambda y: momentum_contrastive(x, y, SCALE))(y).any()


def test_local_formula(rng):
    """Every own part against the parts of other samples alone; padding is nowhere."""
    x, tokens, mask = unit(rng, B, D), unit(rng, B, T, D), rng.uniform(size=(B, T)) > 0.3
    mask[2] = False
    z, terms = SCALE * np.einsum("id,jtd->ijt", np.float64(x), np.float64(tokens)), []
    for i in np.flatnonzero(mask.any(1)):
        others = np.exp(z[i])[mask & (np.arange(B) != i)[:, None]].sum()
        own = np.exp(z[i, i][mask[i]])
        terms.append(np.mean(-np.log(own / (own + others))))
    np.testing.assert_allclose(local_contrastive(x, tokens, SCALE, token_mask=mask), np.mean(terms), rtol=1e-5)
    broken = np.where(mask[..., None], tokens, np.nan)
    np.testing.assert_allclose(local_contrastive(x, broken, SCALE, token_mask=mask), np.mean(terms), rtol=1e-5)


def test_one_part_a_sample_is_infonce(rng):
    x, y = unit(rng, B, D), unit(rng, B, D)
    want = softmax_contrastive(x, y, SCALE, direction="x_to_y")
    np.testing.assert_allclose(local_contrastive(x, y[:, None], SCALE), want, rtol=1e-5)


def test_lean_forms(rng):
    """Tiles of 4 anchors give the dense value and gradients of both losses."""
    x, y, m, queue, tokens = unit(rng, B, D), unit(rng, B, D), unit(rng, B, D), unit(rng, N, D), unit(rng, B, T, D)

    def loss(x, scale, impl):
        form = {"impl": impl, "block": 4}
        whole = momentum_contrastive(x, y, scale, queue=queue, momentum_x=m, alpha=0.3, **form)
        return whole + local_contrastive(x, tokens, scale, **form)

    step = jax.jit(jax.value_and_grad(loss, (0, 1)), static_argnums=2)
    for a, b in zip(*(jax.tree.leaves(step(x, SCALE, impl)) for impl in ("blockwise", "dense")), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", ["aligned", "zero rows", "one row", "all missing"])
def test_edges(case, rng):
    rows = 1 if case == "one row" else B
    x, y, there = unit(rng, rows, D), unit(rng, rows, D), np.full(rows, case != "all missing")
    y = x if case == "aligned" else y
    x = np.zeros_like(x) if case == "zero rows" else x

    def loss(x):
        whole = momentum_contrastive(x, y, SCALE, momentum_x=y, alpha=0.5, x_present=there)
        return whole + local_contrastive(x, y[:, None], SCALE, x_present=there)

    value, gradient = jax.value_and_grad(loss)(x)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if case == "all missing":
        assert value == 0 and not gradient.any()


def test_mean_of_six_terms_and_the_queue(rng):
    """The objective's loss is the mean of the six losses; this batch's keys are candidates of the next step."""
    names = ("image", "text", "ema/image_2", "ema/text")
    rows = {name: unit(rng, B, D) for name in names}
    parts = {f"ema/{name}": unit(rng, B, T, D) for name in ("patches", "words")}
    features = {name: Features(x) for name, x in rows.items()}
    features |= {name: Features(x[:, 0], x, np.ones((B, T), bool)) for name, x in parts.items()}
    objective = TripleContrastive(parts=("patches", "words"), queue=B + 2, temperature=1 / SCALE, alpha=0.4)
    variables = objective.init(jax.random.key(0), features, {}, train=True)
    image, text, keys = rows["image"], rows["text"], (rows["ema/image_2"], rows["ema/text"])

    def want(queues):
        soft = lambda own, **q: {"momentum_x": own, "alpha": 0.4, **q}  # noqa: E731
        terms = [
            momentum_contrastive(image, keys[1], SCALE, **soft(keys[0], **queues[1])),
            momentum_contrastive(text, keys[0], SCALE, **soft(keys[1], **queues[0])),
            momentum_contrastive(image, keys[0], SCALE, **queues[0]),
            momentum_contrastive(text, keys[1], SCALE, **queues[1]),
            local_contrastive(image, parts["ema/patches"], SCALE),
            local_contrastive(text, parts["ema/words"], SCALE),
        ]
        return sum(terms) / 6

    (loss, _), changed = objective.apply(variables, features, {}, train=True, mutable="state")
    np.testing.assert_allclose(loss, want(({}, {})), rtol=1e-5)
    np.testing.assert_array_equal(changed["state"]["queue_present"].sum(1), B)
    (loss, _), _ = objective.apply({**variables, **changed}, features, {}, train=True, mutable="state")
    np.testing.assert_allclose(loss, want(({"queue": keys[0]}, {"queue": keys[1]})), rtol=1e-5)


def test_a_missing_view_has_no_parts(rng):
    """A sample without the second picture is no anchor of its patches, and they are no candidates."""
    rows = {name: unit(rng, B, D) for name in ("image", "text", "ema/image_2", "ema/text")}
    parts = {f"ema/{name}": unit(rng, B, T, D) for name in ("patches", "words")}
    features = {name: Features(x) for name, x in rows.items()}
    features |= {name: Features(x[:, 0], x) for name, x in parts.items()}
    there = np.arange(B) != 2
    batch = {"image_2_present": there, "ema/image_2_present": there, "ema/patches_present": there}
    objective = TripleContrastive(parts=("patches", "words"), temperature=1 / SCALE, across=0.0, within=0.0)
    variables = objective.init(jax.random.key(0), features, batch, train=True)
    loss, _ = objective.apply(variables, features, batch, train=True)
    patches = local_contrastive(rows["image"][there], parts["ema/patches"][there], SCALE)
    words = local_contrastive(rows["text"], parts["ema/words"], SCALE)
    np.testing.assert_allclose(loss, (patches + words) / 2, rtol=1e-5)


def test_bad_input(rng):
    x, y = unit(rng, B, D), unit(rng, B, D)
    with pytest.raises(ValueError, match="momentum_x"):
        momentum_contrastive(x, y, SCALE, alpha=0.4)
    with pytest.raises(ValueError, match="queue"):
        momentum_contrastive(x, y, SCALE, queue=x[:, :3])
    with pytest.raises(ValueError, match="tokens"):
        local_contrastive(x, y, SCALE)
    features = {name: Features(jnp.asarray(x)) for name in ("image", "text", "ema/image_2", "ema/text")}
    with pytest.raises(UserError, match="no tokens"):
        TripleContrastive(parts=("patches", "words")).init(jax.random.key(0), features, {}, train=True)


@pytest.mark.slow
def test_meshes_and_micro_batches():
    """Momentum encoder, queue, patches and words of pictures and captions."""
    config = config_of("tcl", "emoji", batch_size=16)
    config.towers.image.width = config.towers.text.width = config.embed_dim = 16
    config.objectives.triple.queue = 24
    check_mesh(config)


@pytest.mark.slow
def test_wrong_pairs_are_borne(tmp_path):
    """With 30 % of pairs wrong: R@1 of 1,000, chance 0.1 %, with and without the terms within a modality."""
    key = "val/test/vector_to_vector_2_R@1"
    assert run("tcl", "across", workdir=tmp_path / "across")[key] > 0.85
    assert run("tcl", "within", workdir=tmp_path / "within")[key] > 0.75
