"""The benchmark of retrieval ranks measures what it says, and the verb prints it."""

import json

import pytest

from mmjax import cli
from mmjax.bench.eval import bench_eval
from mmjax.errors import UserError


def test_the_verb(capsys):
    flags = ["--queries=300", "--gallery=500", "--width=8", "--block=64", "--repeats=1", "--json"]
    assert cli.main(["bench", "eval", *flags]) == 0
    said = capsys.readouterr().out.splitlines()
    result = json.loads(said[-1])
    assert said[0].startswith("300 queries, 500 items, width 8, 8 device")
    assert result["queries_per_second"] == pytest.approx(300 / result["seconds"])
    assert result["data_mib"] == pytest.approx(800 * 8 * 4 / 2**20)
    # Beside the rows: blocks of 64 x 64 scores and what goes round, not 300 x 500 scores.
    assert 0 < result["temporary_mib"] * 2**20 < 300 * 500 * 4
    assert result["peak_mib"] > result["data_mib"] and result["times_matmul"] > 0


def test_memory_beside_the_rows_does_not_grow_with_the_gallery():
    """An eighth of a million rows more adds their share of what goes round, and no column of scores."""
    import jax

    from mmjax.evaluation.ranking import temporary_bytes
    from mmjax.mesh import make_mesh

    mesh = make_mesh({"data": 8, "fsdp": 1, "tensor": 1}, jax.devices())
    small, large = (temporary_bytes(2**17, rows, 8, block=256, mesh=mesh) for rows in (2**17, 2**20))
    assert large - small <= 3 * (2**20 - 2**17) * (8 + 2) * 4 // 8


@pytest.mark.parametrize("sizes", [{"queries": 0}, {"gallery": 1}, {"repeats": 0}])
def test_nothing_to_measure(sizes):
    with pytest.raises(UserError, match="nothing to measure"):
        bench_eval(**sizes)
