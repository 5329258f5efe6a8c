"""Teachers: what they hold after some steps, what objectives see of them, and on any mesh the same."""

import jax
import numpy as np
import pytest

from mmjax import config as c
from mmjax.errors import UserError
from mmjax.mesh import path_name
from mmjax.teachers import build_teachers, with_presence
from mmjax.training.load import load
from mmjax.training.train import train
from tests.tiny import get_config
from tests.training.test_step import batch_of, build, run, small_config


def taught(**changes):
    """A config whose text is pulled to the teacher's picture too, by way of a head."""
    config = small_config(**changes)
    config.teachers.ema = c.teacher("ema", decay=0.75)
    config.teachers.start = c.teacher("frozen")
    config.heads.prediction = c.head("mlp", stream="text", hidden=8)
    config.objectives.to_teacher = c.objective("softmax", streams=("prediction", "ema/image"))
    config.objectives.to_start = c.objective("softmax", streams=("prediction", "start/text"))
    return config


def flat(tree):
    return {path_name(path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def test_an_average_and_a_frozen_copy():
    experiment = build(taught(), jax.devices()[:1])
    state, (step, _) = experiment.init(), experiment.compile_step()
    start = flat(state.params["model"])
    average = {name: x.astype(np.float64) for name, x in start.items()}
    for number in range(3):
        state, _ = step(state, jax.device_put(batch_of(number)))
        params = flat(state.params["model"])
        average = {name: 0.75 * x + 0.25 * params[name] for name, x in average.items()}
    assert any(np.abs(params[name] - start[name]).max() > 1e-3 for name in start)
    for name, x in flat(state.teachers["ema"]).items():
        np.testing.assert_allclose(x, average[name], rtol=1e-5, atol=1e-7, err_msg=name)
        np.testing.assert_array_equal(flat(state.teachers["start"])[name], start[name])


def test_any_mesh_and_micro_batching():
    losses, state = run(taught(), jax.devices()[:1])
    others, other = run(taught(**{"mesh.fsdp": 2, "mesh.tensor": 2, "microbatches": 2}))
    np.testing.assert_allclose(others, losses, rtol=1e-5)
    teachers = flat(state.teachers)
    for name, x in flat(other.teachers).items():
        if not name.endswith("attention/key/bias"):  # it has no gradient but rounding: a shift changes no softmax
            np.testing.assert_allclose(x, teachers[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_no_gradient_reaches_a_teacher():
    """With the teacher's side alone, only head and text tower learn."""
    config = taught()
    del config.objectives.contrastive
    config.optimizer.update({"name": "sgd", "b1": 0.0, "weight_decay": 0.0})
    config.schedule.warmup = "0 steps"
    experiment = build(config, jax.devices()[:1])
    before = flat(experiment.init().params["model"])
    state, _ = experiment.compile_step()[0](experiment.init(), jax.device_put(batch_of(0)))
    changed = {name.split("/")[0] for name, x in flat(state.params["model"]).items() if (x != before[name]).any()}
    assert {"text", "prediction_head"} <= changed <= {"text", "text_projection", "prediction_head"}


def test_another_run_as_teacher(tmp_path):
    """Its averaged weights, kept through training and resuming; evaluated as a stream of its own."""
    train(get_config("4"), tmp_path / "old")
    config = get_config("4")
    config.seed = 1
    config.teachers.old = c.teacher("run", workdir=str(tmp_path / "old"))
    config.evaluations.crossed = c.evaluation(
        "retrieval", source="emoji:validation-unseen", captions="{label}", streams=("old/image", "text"), every="100%"
    )
    config.evaluations.old = c.evaluation(
        "retrieval", source="emoji:validation-unseen", captions="{label}", streams=("old/image", "old/text")
    )
    metrics = train(config, tmp_path / "new")["metrics"]
    old = flat(load(tmp_path / "old")[1].ema["model"])
    for name, x in flat(load(tmp_path / "new")[1].teachers["old"]).items():
        np.testing.assert_array_equal(x, old[name], err_msg=name)
    from mmjax.experiments.results import evaluate_workdir

    there = evaluate_workdir(tmp_path / "old")["metrics"]
    for name, value in there.items():
        if name.startswith("val/unseen/"):
            assert metrics[name.replace("unseen", "old")] == value, name
    assert metrics["val/crossed/image_to_text_mean_rank"] != metrics["val/old/image_to_text_mean_rank"]


def test_what_cannot_be(tmp_path):
    config = small_config()
    config.teachers.old = c.teacher("run", workdir=str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="no run here"):
        build(config)
    with pytest.raises(UserError, match="decay of a teacher is 1.5"):
        config.teachers.old = c.teacher("ema", decay=1.5)
        build(config)
    config = small_config()
    config.objectives.more = c.objective("softmax", streams=("image", "emma/text"))
    with pytest.raises(UserError, match="'emma/text' does not exist"):
        c.validate(config)


@pytest.mark.parametrize(
    ("stream", "there", "says"),
    [
        (
            "text",
            {"data.tokenizer": "emoji-multilingual"},
            "data.tokenizer is 'emoji-multilingual' there and 'emoji' here",
        ),
        ("text", {"data.context": 20}, "data.context is 20 there and 16 here"),
        ("image", {"data.image_size": 32}, r"shape of 'image' .* is \(32, 32, 3\) there and \(64, 64, 3\) here"),
        ("audio", {"data.audio.sample_rate": 16000}, "data.audio.sample_rate is 16000 there and 48000 here"),
        ("audio", {"data.audio.seconds": 2.0}, "data.audio.seconds is 2.0 there and 5.0 here"),
        ("video", {"data.video.frames": 4}, r"shape of 'video' .* is \(4, 64, 64, 3\) there and \(8, 64, 64, 3\) here"),
        ("series", {"data.series.steps": 32}, "data.series.steps is 32 there and 256 here"),
        ("series", {"data.series.channels": 2}, "data.series.channels is 2 there and 1 here"),
    ],
)
def test_another_run_that_would_misread_the_batches(stream, there, says, tmp_path):
    config = config_of(stream)
    config.teachers.old = c.teacher("run", workdir=str(tmp_path))
    (tmp_path / "config.json").write_text(c.to_json(config_of(stream, **there)))
    with pytest.raises(UserError, match=says):
        build_teachers(config, None, "cpu")


def test_what_concerns_no_stream_of_both_may_differ(tmp_path):
    config = config_of("text")
    config.teachers.old = c.teacher("run", workdir=str(tmp_path))
    (tmp_path / "config.json").write_text(c.to_json(config_of("text", **{"data.audio.seconds": 2.0})))
    assert build_teachers(config, None, "cpu")[0].name == "old"
    (tmp_path / "config.json").write_text(c.to_json(config_of("audio", **{"data.context": 4})))
    assert build_teachers(config, None, "cpu")[0].name == "old"
    config.streams = {"text_2": "text"}
    with pytest.raises(UserError, match="its streams are audio, image_3, those here text_2"):
        build_teachers(config, None, "cpu")


def config_of(stream, **changes):
    """A config of `stream` and of pictures; towers are not looked at."""
    config = small_config(**changes)
    config.streams = {stream: "text" if stream == "text" else "image", "image_3": "image"}
    config.objectives = {"x": c.objective("softmax", streams=(stream, "image_3"))}
    return config


def test_features_are_missing_where_their_stream_is():
    config = taught()
    config.heads.both = c.head("concat", streams=("text", "ema/image"))
    experiment = build(config, jax.devices()[:1])
    there = {"image_present": np.arange(16) % 2 == 0, "text_present": np.arange(16) < 8}
    names = ("image", "text", "prediction", "ema/image", "start/text", "both")
    batch = with_presence(there, names, experiment.model, experiment.teachers)
    for name, own in {"prediction": "text", "ema/image": "image", "start/text": "text"}.items():
        np.testing.assert_array_equal(batch[f"{name}_present"], there[f"{own}_present"])
    np.testing.assert_array_equal(batch["both_present"], there["image_present"] & there["text_present"])
    assert with_presence({}, names, experiment.model, experiment.teachers) == {}
