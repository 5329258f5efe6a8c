"""What is tried where a step does not fit, with a compiler of a made-up memory."""

import pytest

from mmjax.errors import UserError
from mmjax.plan.plan import examples_of
from mmjax.plan.report import text
from mmjax.plan.search import candidates, changed, largest_batch, remedies, smallest_batch
from tests import tiny

AVAILABLE = 1000


def tiny_config(**values):
    config = tiny.get_config()
    config.update(values)
    return config


def machine(cost):
    """`attempt` for a program that takes cost(config) of 1000 bytes, and the configs that it saw."""
    seen = []

    def attempt(config):
        seen.append(config)
        used = cost(config)
        return {
            "fits": used <= AVAILABLE,
            "used": used,
            "available": AVAILABLE,
            "mesh": {"data": 2, "fsdp": 2, "tensor": 1},
        }

    return attempt, seen


@pytest.mark.parametrize("batch", [4, 16, 64, 2048, 5000])
def test_largest_batch(batch):
    """The true largest is 1000 rows; batches are multiples of 4 devices."""
    attempt, _ = machine(lambda config: config.batch_size)
    config = tiny_config(batch_size=batch)
    found = largest_batch(config, attempt(config), attempt)
    assert 1000 * 16 / 17 <= found["batch_size"] <= 1000 and found["batch_size"] % 4 == 0
    for tried in found["tries"]:
        assert tried["fits"] == (tried["batch_size"] <= 1000) and tried["used"] == tried["batch_size"]
    assert max(t["batch_size"] for t in found["tries"] if t["fits"]) == found["batch_size"]


def test_no_batch_fits():
    attempt, _ = machine(lambda config: 2000 + config.batch_size)
    config = tiny_config(batch_size=64)
    assert largest_batch(config, attempt(config), attempt)["batch_size"] == 0


def test_smallest_batch_counts_microbatches():
    assert smallest_batch(tiny_config(microbatches=8), {"mesh": {"data": 4, "fsdp": 2, "tensor": 3}}) == 64


def test_remedies_stop_at_the_first_that_fits():
    def cost(config):
        return 6000 / config.microbatches / (3 if config.towers.image.remat == "full" else 1)

    attempt, seen = machine(cost)
    tried = remedies(tiny_config(batch_size=64), 4, attempt)
    assert [t["flags"] for t in tried] == [
        {"mesh.data": 1, "mesh.fsdp": -1},
        {"towers.image.remat": "full", "towers.text.remat": "full"},
        {"mesh.data": 1, "mesh.fsdp": -1, "towers.image.remat": "full", "towers.text.remat": "full"},
        {"microbatches": 2},
        {
            **{"mesh.data": 1, "mesh.fsdp": -1, "towers.image.remat": "full", "towers.text.remat": "full"},
            "microbatches": 2,
        },
    ]
    assert [t["fits"] for t in tried] == [False, False, False, False, True]
    assert [t["used"] for t in tried] == [6000, 2000, 2000, 3000, 1000]
    assert seen[-1].microbatches == 2 and seen[-1].towers.text.remat == "full" and seen[-1].mesh.fsdp == -1


def test_a_refused_remedy_is_told():
    def attempt(config):
        if config.mesh.fsdp == -1:
            raise UserError("axis 0 does not divide")
        return {"fits": True, "used": 1, "available": AVAILABLE}

    tried = remedies(tiny_config(), 4, attempt)
    assert tried[0]["refused"] == "axis 0 does not divide" and not tried[0]["fits"] and tried[1]["fits"]


def test_candidates_leave_out_what_is_set_already():
    config = tiny_config(batch_size=16)
    config.mesh.fsdp = -1
    for tower in config.towers.values():
        tower.remat = "full"
    assert list(candidates(config, 4)) == [{"microbatches": 2}, {"microbatches": 4}]


def test_changed_leaves_the_config_alone():
    config = tiny_config()
    assert changed(config, {"towers.image.remat": "full", "batch_size": 8}).towers.image.remat == "full"
    assert config.towers.image.remat == "none" and config.batch_size == 16


def test_examples_are_counted_where_that_costs_nothing(tmp_path):
    assert examples_of(tiny.get_config()) > 1000
    config = tiny.get_config()
    config.data.source = str(tmp_path / "{00..99}.tar")
    assert examples_of(config) == 0
    config.schedule.warmup = "2 epochs"
    with pytest.raises(UserError, match="schedule.warmup is in epochs(?s:.)*--examples=N"):
        examples_of(config)


CHIP = {
    **{"kind": "TPU v5 lite", "source": "a page", "flops": 197e12, "hbm": 2**34, "hbm_bandwidth": 819e9},
    **{"link_bandwidth": 50e9, "links": 2},
}
COMMON = {
    **{"topology": "v5e:4x4", "chips": 16, "chip": CHIP, "batch_size": 64, "microbatches": 1, "compile_seconds": 3.0},
    "mesh": {"data": 16, "fsdp": 1, "tensor": 1},
    "notes": ["loss over 64 x 64 pairs: dense"],
    "encoders": {"image": {"parameters": 86_000_000, "flops": 17_500_000_000}},
}


def test_text_of_a_refusal():
    tried = {"flags": {"microbatches": 2}, "fits": True, "used": 10 * 2**30, "available": 15.75 * 2**30}
    result = COMMON | {"fits": False, "used": 20 * 2**30, "available": 15.75 * 2**30, "remedies": [tried]}
    said = text(result)
    assert "does not fit: 20.00 of 15.75 GiB, 4.25 too many" in said
    assert "--config.microbatches=2\n    fits: 10.00 of 15.75 GiB" in said
    assert (
        "\nloss over 64 x 64 pairs: dense\n" in said
        and "image" in said
        and "86.0 M parameters" in said
        and "17.50 GFLOP" in said
    )


def test_text_of_a_bill():
    result = COMMON | {
        **{"fits": True, "available": 2**34, "memory": {"arguments": 2**30, "total": 2**33}, "unknown": ["a kernel"]},
        **{"flops": 2e12, "hbm_bytes": 3e9, "collectives": {"all-gather": [12, 5e9]}, "mfu_bound": 0.5},
        "time": {"compute": 0.01, "hbm": 0.02, "interconnect": 0.05, "overlapped": 0.05, "serial": 0.08},
        **{"examples_per_second": 1280.0, "total_steps": 1000, "days": 0.5, "chip_hours": 192.0},
    }
    said = text(result)
    assert "50% used" in said and "50.00 ms at least (interconnect bound), 80.00 ms if nothing overlapped" in said
    assert "all-gather                 12 x     5000.000 MB in all" in said and "not counted: a kernel" in said
    assert "at least 0.50 days, 192 chip-hours" in said and "50.0% at most" in said
