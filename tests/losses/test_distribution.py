"""Distribution matching and distillation: by hand, by plain numpy, by released formulas, in their limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import logit_distillation, similarity_distribution_matching
from tests.losses.properties import OF_EVERY_LOSS, ROWS, Case, unit_rows

IDS = np.array([4, 4, 2, 0, 2, 2, 7, 4])
TEACHER = 6 * unit_rows(5) @ unit_rows(6).T


def softmax(z):
    e = [np.exp(v) for v in z]
    return [v / sum(e) for v in e]


def sdm_reference(x, y, x_present, y_present, scale, ids, eps=1e-8):
    """KL(p_i || q_i) for every anchor with a positive, the mean of each direction, and their sum."""
    total = 0.0
    for anchors, others, here, there in ((x, y, x_present, y_present), (y, x, y_present, x_present)):
        losses = []
        for i in np.flatnonzero(here):
            candidates = np.flatnonzero(there)
            match = [float(ids[i] == ids[j]) for j in candidates]
            if sum(match) == 0:
                continue
            p = softmax([scale * anchors[i] @ others[j] for j in candidates])
            losses.append(sum(a * np.log(a / (m / sum(match) + eps)) for a, m in zip(p, match, strict=True)))
        total += np.mean(losses)
    return total


def distillation_reference(x, y, x_present, y_present, scale):
    total = 0.0
    for z, t, here, there in (
        (scale * x @ y.T, TEACHER, x_present, y_present),
        (scale * y @ x.T, TEACHER.T, y_present, x_present),
    ):
        losses = []
        for i in np.flatnonzero(here):
            candidates = np.flatnonzero(there)
            student, teacher = softmax(z[i, candidates]), softmax(t[i, candidates])
            losses.append(-sum(a * np.log(b) for a, b in zip(teacher, student, strict=True)))
        total += np.mean(losses) / 2
    return total


def distil_from_teacher(x, y, p, q, rows):
    teacher = jnp.asarray(TEACHER[rows][:, rows], jnp.float32)
    if p is not None:  # what a teacher says of missing samples may be anything
        teacher = jnp.where(p[:, None] & q[None, :], teacher, jnp.nan)
    return logit_distillation(x, y, 9.0, teacher, x_present=p, y_present=q)


CASES = {
    "sdm": Case(
        lambda x, y, p, q, rows: similarity_distribution_matching(x, y, 7.0, x_present=p, y_present=q),
        lambda x, y, p, q: sdm_reference(x, y, p, q, 7.0, range(ROWS)),
    ),
    "sdm, ids": Case(
        lambda x, y, p, q, rows: similarity_distribution_matching(
            x, y, 4.0, x_present=p, y_present=q, ids=jnp.asarray(IDS[rows])
        ),
        lambda x, y, p, q: sdm_reference(x, y, p, q, 4.0, IDS),
    ),
    "distillation": Case(distil_from_teacher, lambda x, y, p, q: distillation_reference(x, y, p, q, 9.0)),
}


def waves():
    """Six pairs of unit rows, the same in the torch runs that the constants below are from."""
    i, d = np.arange(6.0)[:, None], np.arange(4.0)[None]
    x = np.sin(1 + 2 * i + 3 * d + i * d)
    y = x + 0.5 * np.cos(i * (d + 1))
    return [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y)]


def f32(*arrays):
    return [jnp.asarray(a, jnp.float32) for a in arrays]


@pytest.mark.parametrize("holds", OF_EVERY_LOSS)
@pytest.mark.parametrize("name", CASES)
def test_properties(name, holds):
    holds(CASES[name])


def test_sdm_by_hand():
    # Logits [[ln 3, 0], [0, ln 3]]: p = 3/4 on the match, 1/4 beside it; both directions alike.
    anchor = 0.75 * np.log(0.75 / (1 + 1e-8)) + 0.25 * np.log(0.25 / 1e-8)
    got = similarity_distribution_matching(jnp.eye(2), jnp.eye(2), np.log(3.0))
    assert got == pytest.approx(2 * anchor, rel=1e-6)


def test_sdm_costs_nothing_when_right_and_little_more_than_eps_allows_when_wrong():
    x = jnp.eye(4)
    assert similarity_distribution_matching(x, x, 100.0) == pytest.approx(0, abs=1e-6)
    wrong = similarity_distribution_matching(x, jnp.roll(x, 1, axis=0), 100.0)
    assert wrong == pytest.approx(2 * -np.log(1e-8), rel=1e-6)


def test_sdm_gradient_vanishes_where_similarities_already_are_the_identities_distribution():
    x = jnp.eye(2)[jnp.array([0, 0, 1, 1])]
    ids = jnp.array([5, 5, 9, 9])
    gradient = jax.grad(lambda s: similarity_distribution_matching(x, x, s, ids=ids))(jnp.float32(60.0))
    assert gradient == pytest.approx(0, abs=1e-6)


def test_sdm_equals_the_released_formula_where_nothing_is_missing():
    """Made once in float64 torch with the formula of IRRA's `compute_sdm` restated (scale 50)."""
    x, y = f32(*waves())
    ids = jnp.array([0, 1, 0, 2, 1, 3])
    assert similarity_distribution_matching(x, y, 50.0, ids=ids) == pytest.approx(7.071520460074269, rel=1e-5)
    assert similarity_distribution_matching(x, y, 50.0) == pytest.approx(6.147835482194946, rel=1e-5)


def test_sdm_divides_by_the_positives_of_the_anchor_not_of_the_candidate():
    """Ids 0, 0, 1 with y_1 missing: x_0 has one positive, y_0 two; columns' sums in place of rows' would give 1/2."""
    x = jnp.eye(3)[jnp.array([0, 0, 1])]
    y_present = jnp.array([True, False, True])
    got = similarity_distribution_matching(x, x, 100.0, ids=jnp.array([0, 0, 1]), y_present=y_present)
    assert got == pytest.approx(0, abs=1e-6)


def test_distillation_by_hand():
    teacher = jnp.log(jnp.array([[3.0, 1.0], [1.0, 3.0]]))
    # Student: log softmax of [ln 7, 0] is [ln 7/8, ln 1/8]; the teacher's weights are 3/4 and 1/4.
    expected = -0.75 * np.log(7 / 8) - 0.25 * np.log(1 / 8)
    assert logit_distillation(jnp.eye(2), jnp.eye(2), np.log(7.0), teacher) == pytest.approx(expected, rel=1e-6)


def test_distillation_equals_open_clip():
    """Made once with open_clip 3.3.0's `DistillClipLoss` in float64: scales 5 and 9, the teacher's rows reversed."""
    x, y = waves()
    teacher = 9 * x[:, ::-1] @ y[::-1].T
    got = logit_distillation(*f32(x, y), 5.0, jnp.asarray(teacher, jnp.float32))
    assert got == pytest.approx(5.392325968450937, rel=2e-6)


def test_distillation_is_least_and_flat_at_the_teacher_which_takes_no_gradient():
    x, y = f32(*waves())

    def loss(scale, teacher):
        return logit_distillation(x, y, scale, teacher)

    teacher = 9 * x @ y.T
    to_student, to_teacher = jax.grad(loss, (0, 1))(jnp.float32(9.0), teacher)
    assert to_student == pytest.approx(0, abs=1e-6) and not to_teacher.any()
    p, q = (jax.nn.softmax(teacher, axis=axis) for axis in (1, 0))
    entropy = -(jnp.sum(p * jnp.log(p)) + jnp.sum(q * jnp.log(q))) / 12
    assert loss(jnp.float32(9.0), teacher) == pytest.approx(float(entropy), rel=2e-6)


@pytest.mark.parametrize(
    "loss", [similarity_distribution_matching, lambda x, y, s: logit_distillation(x, y, s, x @ y.T)]
)
def test_gradient_of_the_scale(loss):
    x, y = f32(*waves())
    step = 1e-2
    difference = (loss(x, y, jnp.float32(6 + step)) - loss(x, y, jnp.float32(6 - step))) / (2 * step)
    assert jax.grad(loss, 2)(x, y, jnp.float32(6.0)) == pytest.approx(float(difference), rel=2e-3)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"eps": 0}, "eps is 0: give a number above 0"),
        ({"scale": -2.0}, "scale is -2.0: give the factor"),
        ({"ids": jnp.arange(2)}, r"ids \(2,\) must be \(3,\)"),
        ({"y": jnp.ones((3, 4))}, r"x \(3, 2\) and y \(3, 4\) must have the same shape"),
        ({"x_present": jnp.ones(2, bool)}, r"x_present \(2,\) must be \(3,\)"),
    ],
)
def test_sdm_misuse(options, message):
    with pytest.raises(ValueError, match=message):
        similarity_distribution_matching(**{"x": jnp.ones((3, 2)), "y": jnp.ones((3, 2)), "scale": 1.0, **options})


@pytest.mark.parametrize(
    "options, message",
    [
        ({"teacher_logits": jnp.ones((3, 4))}, r"teacher_logits \(3, 4\) must be \(3, 3\): a logit for every pair"),
        ({"teacher_logits": jnp.ones(3)}, r"teacher_logits \(3,\) must be \(3, 3\)"),
        ({"teacher_logits": jnp.eye(3).at[1, 2].set(jnp.inf)}, r"row 1 of teacher_logits \(3, 3\) is not finite"),
        ({"scale": 0}, "scale is 0.0: give the factor"),
        ({"x": jnp.ones((3,))}, r"x is float32 \(3,\): give floating"),
    ],
)
def test_distillation_misuse(options, message):
    arguments = {"x": jnp.ones((3, 2)), "y": jnp.ones((3, 2)), "scale": 1.0, "teacher_logits": jnp.eye(3)}
    with pytest.raises(ValueError, match=message):
        logit_distillation(**{**arguments, **options})
