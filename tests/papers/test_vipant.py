"""VIP-ANT: what the second stage trains and what it leaves alone, and that audio finds text through pictures."""

import numpy as np
import pytest

from mmjax.training.init_from import read_weights
from tests.papers.running import config_of, run

SMALL = {"batch_size": 16, "duration": "6 steps", "schedule.warmup": "1 steps"}


def towers(folder):
    import jax

    from mmjax.mesh import path_name

    leaves = jax.tree_util.tree_leaves_with_path(read_weights(folder)["model"])
    return {path_name(path): np.asarray(x) for path, x in leaves}


def test_the_second_stage_trains_audio_alone(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    run("vipant", workdir=first, **SMALL)
    run("vipant", "pivot", workdir=second, init_from=str(first), **SMALL)
    before, after = towers(first), towers(second)
    assert before.keys() == after.keys()
    moved = {name.split("/")[0].removesuffix("_projection") for name in before if np.any(before[name] != after[name])}
    assert moved == {"vector_3"}


def test_the_stages_share_no_example():
    sources = [config_of("vipant", arg).data.source.split(",")[0] for arg in ("image_text", "pivot", "pairs")]
    assert len(set(sources)) == 3
    streams = [config_of("vipant", arg).objectives.contrastive.streams for arg in ("image_text", "pivot")]
    assert set(streams[0]) & set(streams[1]) == {"vector"}


@pytest.mark.slow
def test_audio_finds_text_through_pictures(tmp_path):
    first = tmp_path / "first"
    pictures = run("vipant", workdir=first)
    pivot = run("vipant", "pivot", workdir=tmp_path / "second", init_from=str(first))
    pairs = run("vipant", "pairs", workdir=tmp_path / "pairs")
    found, audio = (pivot[f"val/test/vector_3_to_{other}_R@1"] for other in ("vector_2", "vector"))
    assert found > min(audio, pictures["val/test/vector_to_vector_2_R@1"]) - 0.07 and found > 0.6
    assert found > pairs["val/test/vector_3_to_vector_2_R@1"] + 0.05
