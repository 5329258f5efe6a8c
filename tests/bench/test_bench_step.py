"""The step's benchmark: the model it times is open_clip's, sides take turns, and the numbers are worked out right."""

import math
import sys

import jax
import pytest

from mmjax.bench import step as bench
from mmjax.bench.timing import Child, peak_mib, timed
from mmjax.errors import UserError
from mmjax.training.experiment import build_experiment
from mmjax.training.flops import count_flops

SERVER = "import json, sys; from mmjax.bench.timing import serve; o = json.loads(sys.argv[1])\n"


def server(body):
    return [sys.executable, "-c", SERVER + body]


def test_the_model_is_open_clips():
    """151,277,313 parameters (Radford et al. 2021's ViT-B/32), and the FLOPs of their products written out."""
    config = bench.config(4, "bfloat16", "none")
    experiment = build_experiment(config, examples=40, batch_shapes=bench.batch(4), devices=jax.devices()[:1])
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(experiment.state.params)) == 151_277_313

    def tower(tokens, width):
        return 12 * 2 * 4 * tokens * (12 * width * width + 2 * tokens * width)

    patches = 2 * 4 * 49 * 3072 * 768
    heads = 2 * 4 * 768 * 512 + 2 * 4 * 512 * 512 + 2 * 4 * 4 * 512
    forward = patches + tower(50, 768) + tower(77, 512) + heads
    assert count_flops(experiment.train_step(), experiment.state, experiment.batch) == 3 * forward - patches


def test_a_child_answers_in_turn_and_remembers():
    body = "n = [o['start']]\ndef more(): n[0] += 1; print('noise'); return {'n': n[0]}\nserve({'more': more})"
    with Child("counter", server(body), {"start": 3}) as child:
        assert [child.ask("more")["n"] for _ in range(3)] == [4, 5, 6]


@pytest.mark.parametrize(
    "command, words",
    [
        (["/nowhere/python"], ["cannot start side", "/nowhere/python"]),
        (server("raise SystemExit(3)"), ["side ended with status 3"]),
    ],
)
def test_a_child_that_cannot_run(command, words):
    with pytest.raises(UserError) as error, Child("side", command, {}) as child:
        child.ask("about")
    assert all(word in str(error.value) for word in words)


def test_peak_memory_is_of_the_child_alone():
    """A parent of much memory does not count; what the child has freed does."""
    ballast = bytearray(300 << 20)
    peak = "from mmjax.bench.timing import peak_mib\nserve({'peak': lambda: {'mib': peak_mib()}})"
    body = f"x = bytearray(100 << 20); del x\n{peak}"
    with Child("side", server(body), {}) as child:
        assert 100 < child.ask("peak")["mib"] < 250
    assert peak_mib() > len(ballast) / 2**20


def test_numbers():
    product = 2 * bench.SIDE**3 / 400e9  # 400 GFLOP/s
    sides = [(2.0, 4.0), (4.0, 6.0), (2.5, 5.5)]
    rounds = [{"product": product, "mmjax": side(a), "open_clip": side(b)} for a, b in sides]
    about = {"mmjax": {"cores": 2, "gflop": 500.0, "compile_seconds": 9.0}, "open_clip": {"torch": "2"}}
    peaks = {"mmjax": {"peak_mib": 10.0}, "open_clip": {"peak_mib": 20.0}}
    result = bench._result(32, rounds, about, peaks)
    assert result["cores"] == 2 and result["matmul_gflops_per_second"] == pytest.approx(400)
    assert result["mmjax"]["seconds"] == 2.5 and result["mmjax"]["examples_per_second"] == 12.8
    assert result["mmjax"]["gflops_per_second"] == 200 and result["mmjax"]["of_matmul"] == pytest.approx(0.5)
    assert result["open_clip"]["seconds"] == 5.5 and result["open_clip"]["peak_mib"] == 20.0
    assert result["ratio"] == 2.0
    text = bench.table({"batch_size": 32, "dtype": "bfloat16", "remat": "none"} | result)
    assert "12.80 examples/s" in text and "2.00 times as fast" in text and "compiled in 9.0 s" in text


def side(seconds):
    return {"seconds": seconds, "loss": 1.0}


def test_timed():
    assert 0 <= timed(lambda: None) < 0.1
