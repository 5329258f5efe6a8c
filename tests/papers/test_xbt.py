"""XBT: noise in training only, what is trained, and the order of recalls across an old and a new model."""

import jax
import numpy as np
import pytest

from mmjax.encoders import Features
from mmjax.errors import UserError
from mmjax.heads import NoiseHead
from mmjax.training.load import load
from tests.papers.running import module, run

TO_OLD = "val/new_to_old/bridge_to_old/vector_R@1"


def test_noise_in_training_alone():
    """In evaluation the rows are as they are; in training each has noise of its own, from its own key."""
    rows = np.eye(4, dtype=np.float32)[[0, 0, 1]]
    features, head = {"text": Features(rows)}, NoiseHead(stream="text", sigma=0.3)
    np.testing.assert_array_equal(head.apply({}, features).pooled, rows)
    keys = jax.random.split(jax.random.key(0), 3)
    noisy = head.apply({}, features, keys=keys).pooled
    noise = np.stack([jax.random.normal(key, (4,)) for key in keys])
    want = rows + 0.3 * noise
    np.testing.assert_allclose(noisy, want / np.linalg.norm(want, axis=1, keepdims=True), rtol=1e-5)
    silent = NoiseHead(stream="text", sigma=0.0).apply({}, features, keys=keys).pooled
    np.testing.assert_allclose(silent, rows, atol=1e-6)
    with pytest.raises(UserError, match="sigma"):
        NoiseHead(stream="text", sigma=-1.0)


def test_the_bridge_alone_is_trained(tmp_path):
    """Towers and old model stay as they were; the bridge and the scale move."""
    tiny = {
        "duration": "4 steps",
        "schedule.warmup": "0 steps",
        "data.source": "latent:train,shared=24,widths=64/48,noise=0.35,count=128",
    }
    for model in ("old", "new"):
        run("xbt", model, workdir=tmp_path / model, **tiny)
    arg, new = f"bridge,old={tmp_path / 'old'}", str(tmp_path / "new")
    run("xbt", arg, workdir=tmp_path / "bridge", init_from=new, **tiny)
    (_, old), (_, before), (_, after) = (load(tmp_path / name) for name in ("old", "new", "bridge"))
    same = lambda a, b: jax.tree.map(np.testing.assert_array_equal, a, b)  # noqa: E731
    same({k: v for k, v in after.params["model"].items() if k != "bridge_head"}, before.params["model"])
    same(after.teachers["old"], old.params["model"])
    assert after.params["model"]["bridge_head"]["out"]["kernel"].shape == (128, 16)


def test_unknown_arm():
    with pytest.raises(ValueError, match="unknown argument"):
        module("xbt").get_config("older")


@pytest.mark.slow
def test_order_of_recalls(tmp_path):
    """Chance, the old model, new queries on the old gallery by a bridge trained on texts, the new model."""
    for model in ("old", "new"):
        run("xbt", model, workdir=tmp_path / model)
    arg = f"bridge,old={tmp_path / 'old'}"
    found = run("xbt", arg, workdir=tmp_path / "bridge", init_from=str(tmp_path / "new"))
    old = found["val/old_to_old/old/vector_2_to_old/vector_R@1"]
    assert 0.1 < old < found[TO_OLD] - 0.03 < found[TO_OLD] < found["val/new_to_new/vector_2_to_vector_R@1"] - 0.2
