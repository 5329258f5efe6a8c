"""Durations against counts worked out by hand."""

import pytest

from mmjax.durations import to_steps
from mmjax.errors import UserError


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (7, 7),
        ("300 steps", 300),
        ("1 step", 1),
        ("2 epochs", 20),  # 2 x 1000 examples in steps of 100
        ("0.25 epochs", 3),  # 2.5 rounds up
        ("12.8k examples", 128),
        ("1e3 examples", 10),
        ("5%", 25),
        ("10 percent", 50),
    ],
)
def test_units(text, steps):
    assert to_steps(text, batch_size=100, examples=1000, total=500) == steps


@pytest.mark.parametrize("text", ["", "soon", "5 weeks", "-3 steps", "steps"])
def test_what_is_no_duration(text):
    with pytest.raises(UserError, match="is not a duration"):
        to_steps(text, batch_size=1, examples=1, total=1, where="config.duration")


def test_a_share_of_nothing():
    with pytest.raises(UserError, match="share of nothing"):
        to_steps("5%", batch_size=1, examples=1)
