"""What a coarser level of tokens learns from a finer one (HBI's distillation between levels)."""

import functools

import jax
import jax.numpy as jnp

from mmjax.losses.cross_entropy import mean_cross_entropy
from mmjax.losses.lean import choose_impl
from mmjax.losses.lean_softmax import Terms, lean_softmax
from mmjax.losses.rows import Rows, both_present
from mmjax.losses.tokens import tile_rows

# Weights are exp(scale (similarity - this)): float32 then holds those of similarities above -0.5 up to scale 100.
CENTRE = 0.3


def level_distillation(
    x: Rows, y: Rows, teacher_x: Rows, teacher_y: Rows, scale, *, score, params, teacher, impl="dense"
):
    """Cross-entropy of one level's softmaxes over the batch with another level's as targets, mean over both directions.

    Its gradient is that of the divergence KL(teacher, level), from which it differs by the teacher's entropy (HBI, Jin
    et al. 2023, arXiv 2303.14369, equation 12). No gradient flows to the teacher.

    Args:
        x, y: prepared rows of the level that learns.
        teacher_x, teacher_y: prepared rows of the level that it learns from, of the same samples.
        scale: () factor of both levels' similarities.
        score: the score of both, a `tokens_scores.Score`.
        params, teacher: what it has learned at either level.
        impl: as for `token_contrastive`.

    Returns:
        () float32.
    """
    x, y = _joined(x, teacher_x), _joined(y, teacher_y)
    params = {"scale": scale, "level": params, "teacher": jax.lax.stop_gradient(teacher)}
    numbers = sum(score.numbers(_level(x, n), _level(y, n)) for n in ("level", "teacher"))
    impl = choose_impl(impl, len(x.facts["present"]), len(y.facts["present"]), numbers)
    terms = functools.partial(_terms, score)
    if impl != "dense":
        return lean_softmax(terms, x, y, params, impl=impl, tile_rows=tile_rows(numbers))
    t = terms(x, y, params)
    to_y = mean_cross_entropy(t.logits, t.to_y, t.keep)
    return (to_y + mean_cross_entropy(t.y_logits.T, t.to_x.T, t.keep.T)) / 2


def _joined(level: Rows, teacher: Rows) -> Rows:
    values = {"level": level.values, "teacher": jax.lax.stop_gradient(teacher.values)}
    return Rows(values, {"present": level.facts["present"], "level": level.facts, "teacher": teacher.facts})


def _level(rows: Rows, name: str) -> Rows:
    return Rows(rows.values[name], rows.facts[name])


def _terms(score, x: Rows, y: Rows, params) -> Terms:
    scale = params["scale"]
    a, b = score(_level(x, "level"), _level(y, "level"), params["level"])
    goals = score(_level(x, "teacher"), _level(y, "teacher"), params["teacher"])
    keep = both_present(x, y)
    to_y, to_x = (jnp.where(keep, jnp.exp(jax.lax.stop_gradient(scale * (goal - CENTRE))), 0.0) for goal in goals)
    return Terms(scale * a, keep, to_y, to_x, scale * b)
