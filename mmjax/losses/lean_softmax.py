"""Mean cross-entropies over anchors whose candidates come a tile at a time: one pass for the sums of exponentials,
one for the gradient.

With the largest logit m_i, l_i = sum_j exp(z_ij - m_i), W_i = sum_j w_ij and the smoothing e, anchor i loses

    log l_i + (1 - e) (m_i - sum_j w_ij z_ij / W_i) + e (m_i - mean_j z_ij),

j over its candidates. Given those statistics, the gradient in z and w is that of a plain sum over pairs, which the
second pass differentiates tile by tile.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mmjax.losses.lean import Folding, fold_gradient, lean_loss
from mmjax.losses.rows import Rows

# Below every logit, and finite: an anchor without a candidate keeps it.
LOWEST = -1e30


class Terms(NamedTuple):
    """What is known of the pairs of a tile.

    Attributes:
        logits: (b, c) float32.
        keep: (b, c) bool, which pairs are in the denominators.
        to_y: (b, c) target weights >= 0 of the anchors in x, 0 for pairs with an absent row, normalised later; None
            where x holds no anchors.
        to_x: (b, c) those of the anchors in y, likewise.
        y_logits: (b, c) float32 of the anchors in y, where they have others; None: `logits`.
    """

    logits: jax.Array
    keep: jax.Array
    to_y: jax.Array | None
    to_x: jax.Array | None
    y_logits: jax.Array | None = None

    def of_y(self):
        """The logits of the anchors in y."""
        return self.logits if self.y_logits is None else self.y_logits


def lean_softmax(
    terms,
    x: Rows,
    y: Rows,
    params: dict,
    *,
    impl: str,
    to_y=True,
    to_x=True,
    smoothing=0.0,
    own=None,
    tile_rows: int | None = None,
):
    """The mean over directions of the mean over valid anchors of their cross-entropy; see `lean_loss`.

    An anchor is valid if it is present, has a candidate and a candidate of positive weight.

    Args:
        terms: `(x, y, params) -> Terms` of a tile of rows.
        x, y, params, impl, tile_rows: as for `lean_loss`.
        to_y, to_x: which sides hold anchors.
        smoothing: share of the target spread evenly over an anchor's candidates.
        own: `(x, params) -> Terms` of (b, H) candidates that belong to one anchor in x alone; None: there are none.
    """
    share = 1.0 / (to_y + to_x)

    def evaluate(folding: Folding, x: Rows, y: Rows, params, *, with_gradient):
        start = (None, _start(x, params, own) if to_y else None, _start(y, params, None) if to_x else None)

        def step(totals, row, column, x, y):
            t = terms(x, y, params)
            row = _merge(row, _statistics(t.logits, t.keep, t.to_y, 1)) if to_y else None
            column = _merge(column, _statistics(t.of_y(), t.keep, t.to_x, 0)) if to_x else None
            return totals, row, column

        _, row, column = folding.fold(step, *start, x, y)
        value, anchors = 0.0, []
        for side, statistics in ((x, row), (y, column)):
            part, facts = _directed(folding, side, statistics, smoothing, share) if statistics else (0.0, None)
            value, anchors = value + part, [*anchors, facts]
        if not with_gradient:
            return value, None
        x, y = (s._replace(facts={**s.facts, "anchor": a}) for s, a in zip((x, y), anchors, strict=True))

        def surrogate(x, y, params):
            t, total = terms(x, y, params), 0.0
            if to_y:
                total += _surrogate(t.logits, t.keep, t.to_y, x.facts["anchor"], 1, smoothing)
            if to_x:
                total += _surrogate(t.of_y(), t.keep, t.to_x, y.facts["anchor"], 0, smoothing)
            return total

        _, gradients = fold_gradient(folding, surrogate, x, y, params)
        return value, _add_own(folding, gradients, own, x, params, smoothing) if own else gradients

    return lean_loss(evaluate, x, y, params, impl=impl, tile_rows=tile_rows)


def _start(rows: Rows, params, own):
    """Statistics of the rows before the first tile."""
    zeros = jnp.zeros(rows.facts["present"].shape, jnp.float32)
    start = {"max": zeros + LOWEST, "sum": zeros, "weight": zeros, "score": zeros, "count": zeros, "total": zeros}
    if own is None:
        return start
    t = own(rows, params)
    return _merge(start, _statistics(t.logits, t.keep, t.to_y, 1))


def _statistics(z, keep, weights, axis: int):
    """The sums of one tile, along the candidates' `axis`."""
    kept = jnp.where(keep, z, -jnp.inf)
    largest = jnp.maximum(jnp.max(kept, axis), LOWEST)
    return {
        "max": largest,
        "sum": jnp.sum(jnp.exp(kept - jnp.expand_dims(largest, axis)), axis),
        "weight": jnp.sum(weights, axis),
        "score": jnp.sum(weights * z, axis),
        "count": jnp.sum(keep, axis, dtype=jnp.float32),
        "total": jnp.sum(jnp.where(keep, z, 0.0), axis),
    }


def _merge(a, b):
    largest = jnp.maximum(a["max"], b["max"])
    total = a["sum"] * jnp.exp(a["max"] - largest) + b["sum"] * jnp.exp(b["max"] - largest)
    return {**{k: a[k] + b[k] for k in a}, "max": largest, "sum": total}


def _directed(folding: Folding, rows: Rows, s, smoothing, share):
    """One direction's mean, and for every anchor what the second pass needs."""
    valid = rows.facts["present"] & (s["weight"] > 0) & (s["sum"] > 0)
    weight, count = jnp.where(valid, s["weight"], 1.0), jnp.where(valid, s["count"], 1.0)
    target, log_sum = s["score"] / weight, jnp.log(jnp.where(valid, s["sum"], 1.0))
    losses = log_sum + (1 - smoothing) * (s["max"] - target) + smoothing * (s["max"] - s["total"] / count)
    anchors = jnp.maximum(folding.reduce(jnp.sum(valid, dtype=jnp.float32)), 1.0)
    value = share * folding.reduce(jnp.sum(jnp.where(valid, losses, 0.0))) / anchors
    factor = jnp.where(valid, share / anchors, 0.0)
    return value, {
        "factor": factor,
        "max": jnp.where(valid, s["max"], -LOWEST),
        "log_sum": log_sum,
        "target": target,
        "per_weight": 1 / weight,
        "per_count": 1 / count,
    }


def _surrogate(z, keep, weights, anchor, axis: int, smoothing):
    """A sum over pairs whose gradient in z and weights is the loss's, the anchors' statistics being constants."""
    along = {k: jnp.expand_dims(v, axis) for k, v in anchor.items()}
    # An anchor that does not count has factor 0, and a maximum that keeps its exponentials finite.
    probability = jnp.exp(jnp.where(keep, z - along["max"] - along["log_sum"], -jnp.inf))
    pairs = probability - weights * (z - along["target"]) * ((1 - smoothing) * along["per_weight"])
    if smoothing:
        pairs -= jnp.where(keep, z, 0.0) * (smoothing * along["per_count"])
    return jnp.sum(along["factor"] * pairs)


def _add_own(folding: Folding, gradients, own, x: Rows, params, smoothing):
    """`gradients` with those of the candidates that belong to one anchor each."""

    def total(values, params):
        t = own(x._replace(values=values), params)
        return _surrogate(t.logits, t.keep, t.to_y, x.facts["anchor"], 1, smoothing)

    dx, dparams = jax.grad(total, (0, 1))(jax.tree.map(lambda v: v.astype(jnp.float32), x.values), params)
    dx = jax.tree.map(lambda a, b: a.astype(jnp.float32) + b, gradients[0], dx)
    dparams = jax.tree.map(lambda a, b: a + folding.reduce(b), gradients[2], dparams)
    return dx, gradients[1], dparams
