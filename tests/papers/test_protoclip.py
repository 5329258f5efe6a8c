"""ProtoCLIP: k-means, back translation and its invariances, targets against loops, leaner forms, the state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.losses import cluster_means, far_apart, kmeans, prototypical
from mmjax.objectives.protoclip import ProtoCLIP
from tests.papers.running import check_mesh, config_of, run

RNG = np.random.default_rng(0)
SCALE = jnp.float32(6.0)


def blobs(seed=0, clusters=4, each=6, width=3, spread=0.05):
    """(rows, labels): well separated clusters, shuffled."""
    rng = np.random.default_rng(seed)
    centres = 3 * np.eye(clusters, width) if clusters <= width else rng.normal(size=(clusters, width)) * 5
    labels = rng.permutation(np.repeat(np.arange(clusters), each))
    return jnp.asarray(centres[labels] + spread * rng.normal(size=(len(labels), width)), jnp.float32), labels


def same_clusters(one, other) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return np.array_equal(one[:, None] == one[None, :], other[:, None] == other[None, :])


def test_kmeans_finds_blobs_whatever_the_tiles_and_leaves_out_what_is_not_valid():
    x, labels = blobs()
    valid = jnp.arange(len(x)) != 5
    start = jax.jit(far_apart, static_argnums=2)(jax.random.key(1), x, 4, valid=valid)
    assert len(np.unique(np.round(start, 4), axis=0)) == 4
    for block in (256, 7):
        found, centroids = jax.jit(kmeans, static_argnames=("iterations", "block"))(x, start, valid=valid, block=block)
        assert found[5] == -1 and same_clusters(np.delete(found, 5), np.delete(labels, 5))
        for k in range(4):
            np.testing.assert_allclose(centroids[k], np.asarray(x)[np.asarray(found) == k].mean(0), rtol=1e-5)


def test_an_empty_cluster_stays_and_has_no_size():
    x = jnp.asarray([[0.0, 0.0], [0.2, 0.0]])
    labels, centroids = kmeans(x, jnp.asarray([[0.0, 0.0], [9.0, 9.0]]), iterations=3)
    np.testing.assert_allclose(centroids, [[0.1, 0.0], [9.0, 9.0]], rtol=1e-6)
    means, sizes = cluster_means(x, labels, 2)
    np.testing.assert_array_equal(sizes, [2, 0])
    np.testing.assert_array_equal(means[1], [0, 0])


def unit(*shape):
    x = RNG.normal(size=shape)
    return jnp.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True), jnp.float32)


def loops(x, prototypes, teacher, labels, scale, tau):
    x, prototypes, teacher = (np.asarray(a, np.float64) for a in (x, prototypes, teacher))
    losses = []
    for i in range(len(x)):
        if labels[i] < 0:
            continue
        z = scale * prototypes @ x[i]
        log_p = z - np.log(np.exp(z).sum())
        t = np.exp((teacher @ teacher[labels[i]]) / tau) if tau else np.eye(len(teacher))[labels[i]]
        losses.append(-(t / t.sum()) @ log_p)
    return np.mean(losses)


@pytest.mark.parametrize("tau", [0.0, 0.3])
def test_against_loops_and_leaner_forms(tau):
    x, prototypes, teacher = unit(9, 4), unit(5, 4), unit(5, 3)
    labels = jnp.asarray([0, 4, 2, -1, 2, 1, 3, 0, 4])

    def gradients(impl):
        loss = lambda x, p, s: prototypical(x, p, teacher, labels, s, teacher_temperature=tau, impl=impl)  # noqa: E731
        return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(x, prototypes, SCALE)

    value, dense = gradients("dense")
    np.testing.assert_allclose(value, loops(x, prototypes, teacher, labels, 6.0, tau), rtol=1e-5)
    lean_value, lean = gradients("blockwise")
    np.testing.assert_allclose(lean_value, value, rtol=1e-5)
    for a, b in zip(lean, dense, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * np.abs(b).max())
    assert np.all(dense[0][3] == 0)


def test_edges():
    x, prototypes, teacher = unit(4, 3), unit(3, 3), unit(3, 2)
    nobody = jnp.full(4, -1)
    assert prototypical(x, prototypes, teacher, nobody, SCALE) == 0
    labels, kept = jnp.asarray([0, 2, 2, 0]), jnp.asarray([True, False, True])
    whole = prototypical(x, prototypes, teacher, labels, SCALE, kept=kept)
    fewer = prototypical(x, prototypes[::2], teacher[::2], labels // 2, SCALE)
    np.testing.assert_allclose(whole, fewer, rtol=1e-6)
    big = lambda x: prototypical(x, 50 * prototypes, 50 * teacher, labels, SCALE)  # noqa: E731
    assert np.all(np.isfinite(jax.grad(big)(x)))
    assert np.all(np.isfinite(jax.grad(lambda x: prototypical(x, 0 * prototypes, 0 * teacher, labels, SCALE))(0 * x)))
    for said, arguments in (
        ("prototypes", (x, prototypes[:, :2], teacher, labels, SCALE)),
        ("teacher", (x, prototypes, teacher[:2], labels, SCALE)),
        ("ids", (x, prototypes, teacher, labels[:3], SCALE)),
    ):
        with pytest.raises(ValueError, match=said):
            prototypical(*arguments)
    with pytest.raises(ValueError, match="teacher_temperature is -1"):
        prototypical(x, prototypes, teacher, labels, SCALE, teacher_temperature=-1)


def back_translated(teacher_rows, student_rows, tau, translate=True):
    """The loss of the student's rows for clusters found in the teacher's, from the same rows to start with."""
    labels, centroids = kmeans(teacher_rows, teacher_rows[:4], iterations=8)
    prototypes = cluster_means(student_rows, labels, 4)[0] if translate else centroids
    return prototypical(student_rows, prototypes, centroids, labels, SCALE, teacher_temperature=tau)


def test_back_translation_sees_only_the_geometry_of_the_teachers_space():
    """Hard targets: no isometry changes the loss. Soft targets, of inner products: no rotation does."""
    teacher, student = blobs(3, spread=0.8)[0], unit(24, 3)
    rotation = jnp.asarray(np.linalg.qr(RNG.normal(size=(3, 3)))[0], jnp.float32)
    turned, moved = teacher @ rotation, teacher @ rotation + jnp.asarray([2.0, -1.0, 0.5])[None, :]
    hard, soft = back_translated(teacher, student, 0.0), back_translated(teacher, student, 3.0)
    np.testing.assert_allclose(back_translated(moved, student, 0.0), hard, rtol=1e-5)
    np.testing.assert_allclose(back_translated(turned, student, 3.0), soft, rtol=1e-5)
    assert abs(back_translated(moved, student, 3.0) - soft) > 1e-3
    plain = back_translated(teacher, student, 0.0, translate=False)
    assert abs(back_translated(moved, student, 0.0, translate=False) - plain) > 0.1


def batch_of(step, rows=8, count=16):
    rng = np.random.default_rng(step)
    ids = np.arange(rows * step, rows * step + rows) % count
    kinds = ids % 2
    image = np.stack([np.eye(3)[kinds[i]] + 0.05 * rng.normal(size=3) for i in range(rows)])
    text = np.stack([np.eye(4)[2 + kinds[i]] + 0.05 * rng.normal(size=4) for i in range(rows)])
    unit = lambda v: jnp.asarray(v / np.linalg.norm(v, axis=1, keepdims=True), jnp.float32)  # noqa: E731
    return {"image": Features(unit(image)), "text": Features(unit(text))}, {"id": jnp.asarray(ids, jnp.int32)}


def test_clusters_are_found_at_the_end_of_an_episode_and_stay_until_the_next():
    objective = ProtoCLIP(clusters=2, episode=2, iterations=4, examples=16, teacher_temperature=0.0)
    variables = objective.init(jax.random.key(0), *batch_of(0), train=True)
    state, losses, classes = variables["state"], [], []

    @jax.jit
    def step(state, features, batch, key):
        (loss, _), changed = objective.apply(
            {"params": variables["params"], "state": state},
            features,
            batch,
            train=True,
            mutable=["state"],
            rngs={"objective": key},
        )
        return loss, changed["state"]

    for n in range(4):
        loss, state = step(state, *batch_of(n), jax.random.key(n))
        losses.append(float(loss))
        classes.append(state)
    assert losses[0] == 0 and min(losses[1:]) > 0 and state["steps"] == 4
    for side in "xy":
        assert state[f"example_{side}_vectors"].shape[0] == 1024
        labels = state[f"example_{side}_labels"][:16, 0]
        assert same_clusters(labels, np.arange(16) % 2) and np.all(state[f"example_{side}_labels"][16:] == -1)
        np.testing.assert_array_equal(state[f"{side}_classes"]["sizes"], [8, 8])
        kept = [c[f"{side}_classes"]["centroids"] for c in classes]
        assert np.array_equal(kept[1], kept[2]) and not np.array_equal(kept[2], kept[3])
    features, batch = batch_of(3)
    np.testing.assert_array_equal(state["example_x_vectors"][batch["id"]], features["image"].pooled)
    translated = state["x_classes"]["translated"]
    own = state["example_x_labels"][:16, 0] == 1
    np.testing.assert_allclose(translated[1], state["example_y_vectors"][:16][own].mean(0), rtol=1e-5)


def test_an_absent_sample_is_not_remembered():
    objective = ProtoCLIP(clusters=2, examples=16)
    features, batch = batch_of(0)
    batch["text_present"] = jnp.arange(8) != 2
    dirty = features | {"text": Features(jnp.where(batch["text_present"][:, None], features["text"].pooled, jnp.nan))}
    variables = objective.init(jax.random.key(0), features, batch, train=True)
    (loss, _), changed = objective.apply(
        variables, dirty, batch, train=True, mutable=["state"], rngs={"objective": jax.random.key(0)}
    )
    state = changed["state"]
    assert loss == 0 and np.all(np.isfinite(state["example_y_vectors"]))
    assert state["example_y_seen"][:8, 0].tolist() == [1, 1, 0, 1, 1, 1, 1, 1] and state["example_x_seen"].sum() == 8


def test_of_an_example_that_comes_twice_the_last_row_is_remembered():
    """As where one takes the place of another that cannot be read; a last row that is missing gives way."""
    objective = ProtoCLIP(clusters=2, examples=16)
    features, _ = batch_of(0)
    batch = {"id": jnp.asarray([3, 5, 3, 7, 5, 3, 9, 7]), "text_present": jnp.arange(8) != 5}
    variables = objective.init(jax.random.key(0), features, batch, train=True)
    state = objective.apply(
        variables, features, batch, train=True, mutable=["state"], rngs={"objective": jax.random.key(0)}
    )[1]["state"]
    for side, stream, last in (("x", "image", [5, 4, 7, 6]), ("y", "text", [2, 4, 7, 6])):
        kept = state[f"example_{side}_vectors"][jnp.asarray([3, 5, 7, 9])]
        np.testing.assert_array_equal(kept, features[stream].pooled[jnp.asarray(last)])
        assert state[f"example_{side}_seen"].sum() == 4


@pytest.mark.slow
def test_on_meshes_and_micro_batches():
    """With k-means at both steps. Temperatures of 1: smaller ones multiply the rounding of sums in another order."""
    config = config_of("protoclip", batch_size=16, embed_dim=8)
    soft = {"temperature": 1.0, "teacher_temperature": 0.5}
    config.objectives.prototypes.update({"clusters": 3, "episode": 1, "iterations": 3} | soft)
    config.objectives.contrastive.temperature = 1.0
    config.towers.image.width = config.towers.text.width = 8
    check_mesh(config)


@pytest.mark.slow
def test_beside_clip_on_the_emoji(tmp_path):
    """Known concepts in an unseen style, chance 0.003: training with prototypes learns."""
    metrics = run("protoclip", workdir=tmp_path)
    assert metrics["val/style/image_to_text_R@1"] > 0.2
