"""Counting an optimised program, against numbers worked out by hand and against other ways to count."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.plan.collectives import group_size
from mmjax.plan.cost import Cost, count_costs
from mmjax.plan.hlo import Shape, parse_module
from mmjax.training.flops import count_flops


def program(name):
    """A program written by hand; its file says what it costs."""
    return (Path(__file__).parent / f"{name}.hlo").read_text()


def test_nested_loops_multiply():
    cost = count_costs(program("nested"))
    assert cost.flops == cost.bf16_flops == 3 * 4 * 4096
    # Each all-reduce of 512 bytes over 4 chips: 2 * 3/4 of them.
    assert cost.collectives == {"all-reduce": [3, 3 * 2 * 3 / 4 * 512]}
    # Products: 512 + 1024 read, 512 written; all-reduces: 512 read, 512 written; the counter: 4 + 4 read, 4 written in
    # each round, and at first 4 and 4 for its copy.
    assert cost.hbm_bytes == 3 * (4 * (512 + 1024 + 512) + 1024 + 12) + 8
    assert cost.unknown == []


def test_a_collective_that_goes_on_beside_a_loop_is_one():
    cost = count_costs(program("background"))
    assert cost.collectives == {"all-gather": [1, 3 * 512]}
    assert cost.flops == 5 * 4096
    assert cost.hbm_bytes == 512 + 2048 + 5 * (512 + 1024 + 512)


@pytest.mark.parametrize("change", [("direction=LT", "direction=GT"), ("add(%j, %two)", "multiply(%j, %two)")])
def test_loop_of_unknown_length_counts_once_and_is_told(change):
    text = program("nested").replace(*change)
    cost = count_costs(text)
    assert cost.flops == 4 * 4096
    assert cost.unknown == ["the trip count of the loop loop.1, taken as 1"]


def test_precision_counts_as_passes():
    exact = program("nested").replace(
        "rhs_contracting_dims={0}", "rhs_contracting_dims={0}, operand_precision={highest,highest}"
    )
    cost = count_costs(exact)
    assert (cost.flops, cost.bf16_flops) == (49152, 6 * 49152)


def test_slices_of_stacked_arrays_cost_what_they_move():
    assert count_costs(program("stacked")) == Cost(hbm_bytes=10 * 4 * 2048)


def test_only_what_leaves_the_core_is_written():
    """A fusion of three results: one kept in the core's memory, one handed on, one (4096 bytes) written; 4096 read."""
    text = """HloModule m

%three (a: f32[8,128]) -> (f32[1024], f32[8,128], f32[8,128]) {
  %a = f32[8,128]{1,0:T(8,128)} parameter(0)
  %n = f32[8,128]{1,0:T(8,128)} negate(%a)
  %flat = f32[1024]{0:T(1024)S(1)} bitcast(%n)
  %e = f32[8,128]{1,0:T(8,128)} exponential(%a)
  ROOT %t = (f32[1024]{0:T(1024)S(1)}, f32[8,128]{1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)}) tuple(%flat, %a, %e)
}

ENTRY %main (x: f32[8,128]) -> (f32[1024], f32[8,128], f32[8,128]) {
  %x = f32[8,128]{1,0:T(8,128)} parameter(0)
  ROOT %f = (f32[1024]{0:T(1024)S(1)}, f32[8,128]{1,0}, f32[8,128]{1,0}) fusion(%x), kind=kLoop, calls=%three
}
"""
    assert count_costs(text) == Cost(hbm_bytes=2 * 4096)


def test_kernels_bring_an_estimate_or_are_named():
    text = """HloModule m

ENTRY %main (x: f32[8,128]) -> f32[8,128] {
  %x = f32[8,128]{1,0} parameter(0)
  %k = f32[8,128]{1,0} custom-call(%x), custom_call_target="tpu_custom_call", ESTIMATE
  ROOT %l = f32[8,128]{1,0} custom-call(%k), custom_call_target="tpu_custom_call", backend_config={"other":1}
}
""".replace("ESTIMATE", 'backend_config={"custom_call_config":{"cost_estimate":{"bytes_accessed":"9","flops":"77"}}}')
    cost = count_costs(text)
    assert (cost.flops, cost.hbm_bytes, cost.unknown) == (77, 4 * 4096, ["the FLOPs of the kernel l"])


def test_a_conditional_costs_its_cheapest_branch_and_says_what_another_adds():
    """A branch is a product, 2 x 8 x 128 x 128 FLOPs, after an all-gather of 2 chips; the other hands on its input."""
    text = """HloModule m

%work (x: f32[8,128]) -> f32[8,128] {
  %x = f32[8,128]{1,0} parameter(0)
  %all = f32[16,128]{1,0} all-gather(%x), channel_id=1, replica_groups={{0,1}}, dimensions={0}
  %w = f32[128,128]{1,0} broadcast(%x), dimensions={}
  ROOT %d = f32[8,128]{1,0} dot(%x, %w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%rest (y: f32[8,128]) -> f32[8,128] {
  ROOT %y = f32[8,128]{1,0} parameter(0)
}

ENTRY %main (p: s32[], x: f32[8,128]) -> f32[8,128] {
  %p = s32[] parameter(0)
  %x0 = f32[8,128]{1,0} parameter(1)
  ROOT %c = f32[8,128]{1,0} conditional(%p, %x0, %x0), branch_computations={%work, %rest}
}
"""
    cost = count_costs(text)
    assert (cost.flops, cost.hbm_bytes, cost.collectives) == (0, 0, {})
    assert len(cost.unknown) == 1
    # 2.6e-7 TFLOP; the all-gather receives the other chip's 4,096 bytes.
    assert "branch of c takes" in cost.unknown[0] and "2.62e-07 TFLOP" in cost.unknown[0]
    assert "4.1e-06 GB received more" in cost.unknown[0]
    same = text.replace("branch_computations={%work, %rest}", "branch_computations={%rest, %rest}")
    assert count_costs(same) == Cost()


def test_collectives_by_kind():
    assert count_costs(program("collectives")).collectives == {
        "all-gather": [2, 2 * 3 * 16384],
        "reduce-scatter": [2, 2 * 3 / 4 * 65536],
        "all-reduce": [1, 2 * 3 / 4 * 16384],
        "all-to-all": [1, 3 / 4 * 16384],
        "collective-permute": [1, 16384],
    }


@pytest.mark.parametrize(
    ("groups", "size"),
    [
        ("replica_groups={{0,1},{2,3}}", 2),
        ("replica_groups=[4,16]<=[8,8]T(1,0)", 16),
        ("replica_groups=mesh['a'=2,'b'=4] {'a','b'}", 8),
        ("replica_groups=mesh['a'=16] {'a':(2)4}", 4),
        ("", 1),
    ],
)
def test_group_sizes(groups, size):
    assert group_size(groups) == size


def test_tiles_pad_and_core_memory_is_no_hbm():
    text = """HloModule m

ENTRY %main (a: f32[3,100]) -> f32[3,100] {
  %a = f32[3,100]{1,0:T(8,128)} parameter(0)
  %b = bf16[5,3,100]{0,2,1:T(8,128)(2,1)} constant(0)
  %c = f32[3,100]{1,0:T(8,128)S(1)} copy(%a)
  ROOT %d = pred[] constant(true)
}
"""
    shapes = [i.shapes[0] for i in parse_module(text).computations["main"].instructions.values()]
    assert [s.hbm_bytes for s in shapes] == [8 * 128 * 4, 3 * 104 * 128 * 2, 0, 1]
    assert [s.size for s in shapes] == [1200, 3000, 1200, 1]
    assert Shape("s4", (3,)).size == 2 and Shape("f8e4m3fn", (3,)).size == 3
    assert Shape("c64", (2,)).size == 16 and Shape("token", ()).size == 0


def test_convolutions_leave_out_padding_and_gaps():
    """A batched product as TPU programs write it, a convolution over a dilated batch axis, and a padded one."""
    text = """HloModule m

ENTRY %main (x: f32[5,7,2], w: f32[5,2,3], i: f32[1,9,2], k: f32[3,2,4]) -> f32[] {
  %x = f32[5,7,2]{2,1,0} parameter(0)
  %w = f32[5,2,3]{2,1,0} parameter(1)
  %i = f32[1,9,2]{2,1,0} parameter(2)
  %k = f32[3,2,4]{2,1,0} parameter(3)
  %batched = f32[5,7,3]{2,1,0} convolution(%x, %w), window={size=5 stride=4 lhs_dilate=5}, dim_labels=0bf_0io->0bf
  %padded = f32[1,9,4]{2,1,0} convolution(%i, %k), window={size=3 pad=1_1}, dim_labels=b0f_0io->b0f
  ROOT %done = f32[] constant(0)
}
"""
    # 5 products of (7, 2) x (2, 3); and 9 outputs of 3 taps but for one missing at either end, 2 channels in and 4 out.
    assert count_costs(text).flops == 5 * 2 * 7 * 2 * 3 + 2 * (9 * 3 - 2) * 2 * 4


@pytest.mark.parametrize("unroll", [1, 6])
def test_compiled_scan_costs_what_its_unrolled_form_and_its_jaxpr_cost(unroll):
    """Six layers forward and backward: three products a layer, whether XLA shows the layer once or six times."""

    def loss(ws, x):
        return jnp.sum(jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, ws, unroll=unroll)[0])

    args = np.ones((6, 64, 64), np.float32), np.ones((32, 64), np.float32)
    gradient = jax.grad(loss, argnums=(0, 1))
    compiled = jax.jit(gradient).lower(*args).compile()
    assert count_costs(compiled.as_text()).flops == count_flops(gradient, *args) == 6 * 3 * 2 * 32 * 64 * 64
