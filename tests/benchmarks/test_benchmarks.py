"""Every benchmark runs on the tiny config and prints the numbers it promises, consistent with one another."""

import collections
import importlib
import json
import os

import jax
import jax.numpy as jnp
import pytest

from benchmarks import common, full_recipes, run_all
from benchmarks.step_flops import find_products
from mmjax.training.flops import count_flops

TINY = "tests/tiny.py"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """`run(name, *flags)`: the JSON object that a benchmark prints and writes on the tiny config."""
    monkeypatch.setenv("GLIBC_TUNABLES", "")  # or it would start this process again, for other allocator settings

    def run(name, *flags):
        output = tmp_path / "results" / f"{name}.json"
        monkeypatch.setattr("sys.argv", [name, f"--config={TINY}", f"--output={output}", *flags])
        importlib.import_module(f"benchmarks.{name}").main()
        printed = json.loads(capsys.readouterr().out)
        assert printed == json.loads(output.read_text())
        assert printed["benchmark"] == name and printed["config"] == TINY
        assert printed["machine"]["cores"] >= 1 and len(printed["load_average"]["after"]) == 3
        return printed

    return run


def test_overhead(run):
    found = run("overhead", "--rounds=1", "--block=2")
    wall = {name: times["median"] for name, times in found["step_seconds"].items()}
    assert wall.keys() == {"loop", "bare", "fed"} == found["step_processor_seconds"].keys()
    assert found["loop_to_bare"]["median"] == pytest.approx(wall["loop"] / wall["bare"], rel=2e-3)
    assert found["loop_to_fed"]["median"] == pytest.approx(wall["loop"] / wall["fed"], rel=2e-3)
    assert found["fed_to_bare"]["n"] == 1 and found["data"]["batch_processor_seconds"] > 0


def test_checkpoint_stall(run):
    found = run("checkpoint_stall", "--rounds=2", "--steps=2")
    assert found["state_bytes"] > 100_000
    later, step = found["later_save_seconds"], found["step_seconds"]
    assert later["n"] == 1 and step["n"] == 4
    share = found["later_save_to_step"]["median"]
    assert later["max"] / step["max"] * 0.99 <= share <= later["max"] / step["min"] * 1.01
    assert found["save_and_next_step_to_step"]["median"] > share
    assert found["steps_while_writing"]["min"] >= 1
    assert found["later_save_whole_cost_in_steps"].keys() == {"median", "min", "max", "n"}


def test_step_flops(run):
    found = run("step_flops", "--rounds=1", "--calls=1", "--side=64")
    assert found["seconds"].keys() == {"step", "forward", "forward without noise", "forward and backward", "update"}
    rate, step = found["step_gflop_per_second"]["median"], found["seconds"]["step"]["median"]
    assert found["step_gflop"] == pytest.approx(rate * step, rel=2e-3)
    assert found["share_of_matmul_rate"]["median"] == pytest.approx(
        rate / found["matmul_gflop_per_second"]["median"], rel=2e-3
    )
    assert found["share_of_step_time"]["step"] == 1


@pytest.mark.slow
def test_allocator(run):
    found = run("allocator", "--rounds=1", "--steps=10")
    rates = found["examples_per_second"]
    assert found["tuned_to_plain"]["median"] == pytest.approx(rates["tuned"]["max"] / rates["plain"]["max"], rel=2e-3)


@pytest.mark.slow
def test_startup(run):
    found = run("startup", "--repeats=1")
    first, second = found["first_run_seconds"]["median"], found["second_run_seconds"]["median"]
    assert 0 < second < first and found["second_to_first"]["median"] == pytest.approx(second / first, rel=2e-3)
    before, after = found["parts_of_first_run_seconds"], found["parts_of_second_run_seconds"]
    compiling = "step: trace, count FLOPs, compile or load"
    assert before.keys() == after.keys() and after[compiling] < before[compiling]


def test_products_of_a_scan_are_those_that_count_flops_counts():
    def function(a, b):
        return jax.lax.scan(lambda x, _: (jnp.tanh(x @ b), None), a, length=3)[0] @ jnp.ones((4, 5))

    args = jnp.ones((2, 4)), jnp.ones((4, 4))
    counts = collections.Counter()
    find_products(jax.make_jaxpr(function)(*args).jaxpr, 1, counts)
    assert sorted((left, right, times) for (left, _, right, _, _), times in counts.items()) == [
        ((2, 4), (4, 4), 3),
        ((2, 4), (4, 5), 1),
    ]
    assert count_flops(function, *args) == 3 * 2 * 2 * 4 * 4 + 2 * 2 * 4 * 5


def test_summary_and_ratios():
    assert common.summary([4.0, 1.0, 3.0]) == {"median": 3.0, "min": 1.0, "max": 4.0, "n": 3}
    assert common.ratios([2.0, 9.0], [1.0, 3.0]) == {"median": 2.5, "min": 2.0, "max": 3.0, "n": 2}
    assert common.rounded({"a": [1.23456, 12345678], "b": ("x", 0.000123456)}) == {
        "a": [1.235, 12345678],
        "b": ["x", 0.0001235],
    }


def test_run_that_ends_early_is_told(tmp_path):
    command = common.train_command(TINY, tmp_path / "run", "--config.batch_sise=2")
    with pytest.raises(RuntimeError, match="ended early(.|\n)*batch_sise"):
        common.train_until(1, command, dict(os.environ))


def test_every_benchmark_of_run_all_is_here():
    folder = common.ROOT / "benchmarks"
    helpers = {"common", "run_all", "startup_parts", "open_clip_loading", "photo_shards"}
    with_more_packages = {"emoji_ridge", "data_loading", "full_recipes"}
    assert set(run_all.BENCHMARKS) == {p.stem for p in folder.glob("*.py")} - helpers - with_more_packages


def test_slices_that_a_batch_divides_by():
    assert full_recipes.slices(32_768) == ["v5e:4x4", "v5e:8x8", "v5e:16x16"]
    assert full_recipes.slices(96) == ["v5e:4x4"]
    assert full_recipes.slices(100) == ["v5e:2x2"]


def test_a_recipe_that_does_not_fit_is_tried_on_a_larger_slice(monkeypatch):
    monkeypatch.setattr(full_recipes, "full_recipe", lambda name: common.load_config(TINY, batch_size=64))
    monkeypatch.setattr(full_recipes, "digest", lambda name: "d")
    refusal = {"fits": False, "used": 3 * 2**34, "available": 2**34, "compile_seconds": 1.0}
    fitting = {"fits": True, "used": 2**33, "available": 2**34, "bf16_flops": 197e12, "hbm_bytes": 819e6}
    fitting |= {"collectives": {}, "unknown": ["a loop"], "total_steps": 10, "model_flops": 0.5 * 197e12}
    monkeypatch.setattr(full_recipes, "compile_step", lambda config, topology, examples: said[topology])
    said = {"v5e:4x4": refusal, "v5e:8x8": fitting}
    found = full_recipes.planned("tiny")
    assert found["topology"] == "v5e:8x8" and found["refused"] == {"v5e:4x4": 3 * 2**34}
    assert full_recipes.table({"tiny": found}).splitlines()[2:] == [
        f"| tiny | 64 | {found['microbatches']} | v5e:8x8 | 8.00 of 16.00 | 1,000.0 | FLOPs | 50% |",
        "",
        "- tiny, not counted: a loop",
    ]
    said["v5e:8x8"] = refusal
    assert not full_recipes.planned("tiny")["fits"]
