"""Time from FLOPs and bytes, worked out by hand."""

import jax
import pytest

from mmjax.plan.chips import TPUS
from mmjax.plan.plan import bill
from mmjax.plan.roofline import links, roofline
from mmjax.plan.topology import parse_topology
from mmjax.training.flops import PEAK_FLOPS, peak_flops


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("v5e:1x1", 0),
        ("v5e:2x4", 2),
        ("v5e:4x4", 2),
        ("v5e:8x16", 3),
        ("v5e:16x16", 4),
        ("v4:2x2x1", 2),
        ("v4:2x4x4", 3),
        ("v4:4x4x8", 6),
    ],
)
def test_links_of_a_corner(name, count):
    assert links(parse_topology(name)) == count


def test_parts_of_a_step():
    # v5e: 197 TFLOP/s, 819 GB/s, and on 16x16 four links of 50 GB/s.
    time = roofline(parse_topology("v5e:16x16"), bf16_flops=19.7e12, hbm_bytes=163.8e9, received=10e9)
    assert time == pytest.approx(
        {"compute": 0.1, "hbm": 0.2, "interconnect": 0.05, "overlapped": 0.2, "serial": 0.35}, rel=1e-12
    )
    alone = roofline(parse_topology("v5e:1x1"), bf16_flops=197e12, hbm_bytes=0, received=0)
    assert alone["interconnect"] == 0 and alone["overlapped"] == 1


def test_bill_of_a_run():
    step = {
        **{"fits": True, "total_steps": 36_000, "bf16_flops": 27.5e12, "model_flops": 13.75e12, "hbm_bytes": 6e9},
        "collectives": {"all-reduce": [3, 1.5e9], "all-gather": [1, 1.5e9]},
    }
    result = bill(step, 1024, parse_topology("v4:4x4x4"))
    # 27.5 TFLOP at 275 TFLOP/s: 0.1 s; 36,000 of them an hour; half of the FLOPs are the model's; 64 chips.
    assert result["time"]["overlapped"] == pytest.approx(0.1)
    assert result["time"]["interconnect"] == pytest.approx(3e9 / (6 * 50e9))
    assert result["mfu_bound"] == pytest.approx(0.5)
    assert result["examples_per_second"] == pytest.approx(10240)
    assert result["days"] == pytest.approx(1 / 24) and result["chip_hours"] == pytest.approx(64)
    assert bill({"fits": False}, 1024, parse_topology("v4:4x4x4")) == {}


def test_one_table_of_peaks():
    class Device:
        device_kind = "TPU v5 lite"

    assert peak_flops(Device) == TPUS["v5e"].flops == PEAK_FLOPS["TPU v5 lite"] == 197e12
    assert peak_flops(jax.devices("cpu")[0]) is None
