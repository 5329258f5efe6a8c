"""Distillation from a teacher of another width: its loss, its learned scale, and a student that comes to agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import config as c
from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.losses import logit_distillation
from mmjax.objectives import Distillation
from tests.losses.properties import unit_rows
from tests.training.test_step import build, run, small_config


def features(width=3, taught=5):
    rows = {"image": (0, width), "text": (1, width), "old/image": (2, taught), "old/text": (3, taught)}
    return {name: Features(jnp.float32(unit_rows(seed, (6, w)))) for name, (seed, w) in rows.items()}


def test_it_is_the_loss_at_its_learned_scale_and_the_teachers_temperature():
    objective, given = Distillation(teacher="old", temperature=0.2, teacher_temperature=0.05), features()
    batch = {"text_present": jnp.arange(6) != 2}
    params = objective.init(jax.random.key(0), given, batch, train=True)
    loss, metrics = objective.apply(params, given, batch, train=True)
    x, y, old_x, old_y = (f.pooled for f in given.values())
    kept = np.flatnonzero(batch["text_present"])
    logits = np.asarray(old_x @ old_y.T) / 0.05
    expected = logit_distillation(x, y, 5.0, jnp.asarray(logits), y_present=batch["text_present"])
    assert loss == pytest.approx(float(expected), rel=1e-5) and metrics["logit_scale"] == pytest.approx(5)
    assert jnp.isfinite(loss) and len(kept) == 5
    gradient = jax.grad(lambda p: objective.apply(p, given, batch, train=True)[0])(params)
    assert gradient["params"]["logit_scale"] != 0
    with pytest.raises(ValueError, match="teacher_temperature is 0.0"):
        Distillation(teacher="old", teacher_temperature=0.0).init(jax.random.key(0), given, batch, train=True)


def test_it_trains_beside_a_contrastive_loss_and_needs_its_teacher():
    config = small_config(ema_decay=0.0)
    config.objectives.taught = c.objective("distillation", teacher="ema", teacher_temperature=0.05)
    with pytest.raises(UserError, match="no teacher 'ema'"):
        build(config)
    config.teachers.ema = c.teacher("ema", decay=0.5)
    losses, _ = run(config, jax.devices()[:1])
    assert np.isfinite(losses).all() and losses[-5:].mean() < losses[:5].mean()
