"""Learning rates at hand-picked steps."""

import numpy as np
import pytest

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.training.schedule import build_schedule


def schedule_of(total=100, **keys):
    config = config_lib.default()
    config.optimizer.learning_rate = 2.0
    config.schedule.update({"warmup": "0 steps"} | keys)
    return build_schedule(config, total, examples=1000)


def test_warmup_is_linear_from_zero():
    schedule = schedule_of(name="constant", warmup="10 steps")
    np.testing.assert_allclose([schedule(s) for s in (0, 1, 5, 10, 50)], [0.0, 0.2, 1.0, 2.0, 2.0], rtol=1e-6)


def test_cosine_falls_to_its_end():
    schedule = schedule_of(name="cosine", end=0.1)
    np.testing.assert_allclose([schedule(s) for s in (0, 50, 100)], [2.0, 2 * (0.1 + 0.9 / 2), 0.2], rtol=1e-6)


def test_linear_falls_between_warmup_and_cooldown():
    schedule = schedule_of(name="linear", warmup="20%", cooldown="20%")
    # the course runs from step 20 to step 80; the cool-down multiplies by (100 - step) / 20 after that
    np.testing.assert_allclose([schedule(s) for s in (10, 20, 50, 80)], [1.0, 2.0, 1.0, 0.0], atol=1e-6)


def test_rsqrt_counts_the_warmup_as_a_timescale():
    schedule = schedule_of(name="rsqrt", warmup="10 steps", timescale="20 steps", cooldown="10 steps")
    np.testing.assert_allclose(
        [schedule(s) for s in (10, 70, 95)], [2.0, 2 * (20 / 80) ** 0.5, 2 * (20 / 105) ** 0.5 / 2]
    )


def test_no_room_for_warmup():
    with pytest.raises(UserError, match="do not fit into 100 steps"):
        schedule_of(warmup="80 steps", cooldown="30 steps")
