"""The direction of a motion, which only the order of the frames tells, from its config."""

import runpy
from pathlib import Path

import pytest

from mmjax.training.train import train

CONFIG = Path(__file__).parents[2] / "configs" / "synthetic_video.py"


def accuracy(arg, steps, workdir):
    """Of telling a caption from the one with the motion reversed, by split."""
    config = runpy.run_path(str(CONFIG))["get_config"](arg)
    config.duration = f"{steps} steps"
    metrics = train(config, workdir)["metrics"]
    return {split: metrics[f"val/{split}/accuracy"] for split in ("test", "compositions", "motions")}


@pytest.mark.slow
def test_a_transformer_over_frames_tells_the_direction(tmp_path):
    assert min(accuracy("temporal", 400, tmp_path).values()) > 0.9


@pytest.mark.slow
def test_a_mean_of_frames_cannot(tmp_path):
    """Both captions fit a clip and its reverse equally: of 1,000 guesses, half within four standard errors."""
    for share in accuracy("mean", 150, tmp_path).values():
        assert share == pytest.approx(0.5, abs=4 * 0.5 / 1000**0.5)
