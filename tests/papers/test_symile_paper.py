"""Symile as a paper: meshes, and that pairs learn nothing of an exclusive or."""

import math

import pytest

from mmjax.training.history import read_history
from tests.papers.running import check_mesh, config_of, run


@pytest.mark.slow
def test_on_meshes_and_micro_batches():
    check_mesh(config_of("symile", batch_size=32))


@pytest.mark.slow
@pytest.mark.claim
def test_products_tell_an_exclusive_or_and_pairs_do_not(tmp_path):
    """Chance is 1/32; without information three pairs cost 3 log 512."""
    assert run("symile", workdir=tmp_path / "symile")["val/test/accuracy"] > 0.95
    assert 0.4 < run("symile", "half", workdir=tmp_path / "half")["val/test/accuracy"] < 0.65
    folder = tmp_path / "pairwise"
    assert run("symile", "pairwise", workdir=folder)["val/test/accuracy"] < 0.08
    losses = [row["train/loss"] for row in read_history(folder) if "train/loss" in row]
    assert losses[-1] == pytest.approx(3 * math.log(512), abs=0.05)
