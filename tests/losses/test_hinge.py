"""The hinge loss by hand, by plain numpy, and in its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.losses import hinge_contrastive
from tests.losses.properties import OF_EVERY_LOSS, Case, unit_rows

IDS = np.array([4, 4, 2, 0, 2, 2, 7, 4])
DISTINCT = np.arange(8)


def reference(x, y, x_present, y_present, ids, margin, negatives, direction):
    """The paper's l_SH and l_MH, anchor by anchor."""
    total = 0.0
    sides = {"x_to_y": [(x, y, y_present)], "y_to_x": [(y, x, x_present)]}
    sides["both"] = sides["x_to_y"] + sides["y_to_x"]
    for anchors, others, there in sides[direction]:
        losses = []
        for i in range(len(x)):
            if not (x_present[i] and y_present[i]):
                continue
            s = [anchors[i] @ others[j] for j in range(len(x))]
            costs = [max(0.0, margin - s[i] + s[j]) for j in range(len(x)) if there[j] and ids[i] != ids[j]]
            losses.append(sum(costs) if negatives == "sum" else max(costs, default=0.0))
        total += np.mean(losses)
    return total


def case(ids=None, **options):
    full = {"margin": 0.3, "negatives": "sum", "direction": "both", **options}
    return Case(
        lambda x, y, p, q, rows: hinge_contrastive(
            x, y, x_present=p, y_present=q, ids=None if ids is None else jnp.asarray(ids[rows]), **full
        ),
        lambda x, y, p, q: reference(x, y, p, q, DISTINCT if ids is None else ids, **full),
    )


CASES = {
    "sum": case(),
    "sum, x to y, ids": case(IDS, margin=0.7, direction="x_to_y"),
    "hardest, y to x, ids": case(IDS, negatives="hardest", direction="y_to_x"),
}


@pytest.mark.parametrize("holds", OF_EVERY_LOSS)
@pytest.mark.parametrize("name", CASES)
def test_properties(name, holds):
    holds(CASES[name])


def test_by_hand():
    x = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    y = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    # x y' = [1 0 .6], [0 1 .8], [1 0 .6]; margin .5. Rows: .1; .3; .9. Columns: .5; 0; .5 + .7.
    assert hinge_contrastive(x, y, margin=0.5, direction="x_to_y") == pytest.approx(1.3 / 3, rel=1e-6)
    assert hinge_contrastive(x, y, margin=0.5, direction="y_to_x") == pytest.approx(1.7 / 3, rel=1e-6)
    assert hinge_contrastive(x, y, margin=0.5) == pytest.approx(3.0 / 3, rel=1e-6)
    # Hardest: columns .5, 0 and .7.
    assert hinge_contrastive(x, y, margin=0.5, negatives="hardest") == pytest.approx(2.5 / 3, rel=1e-6)


def test_the_released_formula_sums_over_anchors_where_this_is_their_mean():
    """Made once in float64 torch with the formula of VSE++'s `ContrastiveLoss` restated (margin 1)."""
    i, d = np.arange(6.0)[:, None], np.arange(4.0)[None]
    x = np.sin(1 + 2 * i + 3 * d + i * d)
    y = x + 0.5 * np.cos(i * (d + 1))
    x, y = (jnp.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), jnp.float32) for rows in (x, y))
    assert hinge_contrastive(x, y, margin=1.0) * 6 == pytest.approx(12.085481832858362, rel=2e-6)
    assert hinge_contrastive(x, y, margin=1.0, negatives="hardest") * 6 == pytest.approx(9.04486839579911, rel=2e-6)


def test_pairs_apart_by_the_margin_cost_nothing_and_pull_no_more():
    loss, gradient = jax.value_and_grad(lambda x: hinge_contrastive(x, jnp.eye(4), margin=0.9))(jnp.eye(4))
    assert loss == 0 and not gradient.any()


def test_one_id_for_all_leaves_no_negative():
    x, y = (jnp.asarray(unit_rows(s), jnp.float32) for s in (2, 3))
    for negatives in ("sum", "hardest"):
        loss, gradient = jax.value_and_grad(
            lambda x, n=negatives: hinge_contrastive(x, y, negatives=n, ids=jnp.zeros(8, int))
        )(x)
        assert loss == 0 and not gradient.any()


def test_absent_rows_may_hold_anything_where_values_are_known_too():
    x, y = (jnp.asarray(unit_rows(s), jnp.float32) for s in (0, 1))
    present = jnp.arange(8) < 5
    emptied = jnp.where(present[:, None], x, jnp.nan)
    got = hinge_contrastive(emptied, y, x_present=present, y_present=present)
    assert got == pytest.approx(float(hinge_contrastive(x[:5], y[:5])), rel=2e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"negatives": "hard"}, "negatives is 'hard': give one of 'sum', 'hardest'"),
        ({"direction": "x"}, "direction is 'x': give one of 'both', 'x_to_y', 'y_to_x'"),
        ({"margin": -0.1}, "margin is -0.1: give 0 or more"),
        ({"ids": jnp.arange(2)}, r"ids \(2,\) must be \(3,\)"),
        ({"ids": jnp.ones(3)}, "ids are float32: give integers"),
        ({"x_present": jnp.ones(2, bool)}, r"x_present \(2,\) must be \(3,\)"),
        ({"y_present": jnp.ones(3)}, "y_present is float32: give booleans"),
        ({"y": jnp.ones((4, 2))}, r"x \(3, 2\) and y \(4, 2\) must have the same shape"),
        ({"y": jnp.ones((3, 2), jnp.bfloat16)}, "x is float32 and y bfloat16"),
        ({"y": jnp.full((3, 2), jnp.nan)}, r"row 0 of y \(3, 2\) is not finite"),
    ],
)
def test_misuse(options, message):
    with pytest.raises(ValueError, match=message):
        hinge_contrastive(**{"x": jnp.ones((3, 2)), "y": jnp.ones((3, 2)), **options})
