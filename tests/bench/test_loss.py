"""The loss benchmark measures what it names, and the verb prints it."""

import json

import jax
import pytest

from mmjax import cli
from mmjax.bench.loss import bench_loss
from mmjax.errors import UserError


@pytest.fixture
def one_device(monkeypatch):
    devices = jax.devices()[:1]
    monkeypatch.setattr(jax, "devices", lambda *_: devices)


def test_every_loss_and_form_on_one_device(one_device, capsys):
    assert cli.main(["bench", "loss", "--batch=256", "--width=16", "--repeats=2", "--json"]) == 0
    said = capsys.readouterr().out.splitlines()
    result = json.loads(said[-1])
    rows = {(row["loss"], row["impl"]): row for row in result["rows"]}
    assert set(rows) == {(loss, impl) for loss in ("softmax", "sigmoid") for impl in ("dense", "blockwise")}
    assert rows["softmax", "dense"]["of_dense"] == 1
    # Dense: the logits and two products of the backward pass. Blockwise softmax makes the logits twice.
    product = 2 * 256 * 256 * 16 / 1e9
    assert rows["softmax", "dense"]["gflop"] == pytest.approx(3 * product)
    assert rows["softmax", "blockwise"]["gflop"] == pytest.approx(4 * product)
    assert rows["sigmoid", "blockwise"]["gflop"] == pytest.approx(3 * product)
    assert len(said) == 1 + 4 + 1 and "blockwise" in said[2]


def test_a_ring_of_eight_does_five_products():
    rows = {(row["loss"], row["impl"]): row for row in bench_loss(batch=64, width=16, repeats=1)["rows"]}
    assert rows["softmax", "ring"]["gflop"] == pytest.approx(5 * 2 * 64 * 64 * 16 / 1e9)


def test_a_batch_that_does_not_divide():
    with pytest.raises(UserError, match="batch 63 does not divide over 8 devices"):
        bench_loss(batch=63)
