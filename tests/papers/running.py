"""Paper configs in tests: a run of one, and its first steps on other meshes and micro-batches."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

from mmjax import config as config_lib
from mmjax.data.pipeline import TrainPipeline
from mmjax.mesh import path_name
from mmjax.training.experiment import build_experiment

ROOT = Path(__file__).parents[2]
PAPERS = ROOT / "configs" / "papers"
TRAIN = """
import json, sys
from mmjax import config
from mmjax.training.train import train
print(json.dumps(train(config.from_json(sys.stdin.read()), sys.argv[1])["metrics"]))
"""


def module(name):
    """The module configs/papers/<name>.py, loaded anew."""
    spec = importlib.util.spec_from_file_location(f"papers_{name}", PAPERS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def config_of(name, arg="", **changes):
    """The config of a paper's arm with dotted keys changed."""
    config = module(name).get_config(arg)
    config.update_from_flattened_dict(changes)
    return config


def run(name, arg="", *, workdir, seed=0, **changes) -> dict:
    """The metrics "val/..." at the end of a run of a paper's arm.

    In a process of its own, as `mmjax train` would do it: on one device, with the optimisations that tests leave out.
    """
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    given = config_lib.to_json(config_of(name, arg, seed=seed, **changes))
    command = [sys.executable, "-c", TRAIN, str(workdir)]
    done = subprocess.run(command, input=given, text=True, capture_output=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def first_steps(config, devices: int, steps: int):
    """(losses, parameters by path, objective state) after some steps of plain descent on that many devices."""
    config = config_lib.from_json(config_lib.to_json(config))
    config.optimizer.update({"name": "sgd", "b1": 0.0, "learning_rate": 0.1, "weight_decay": 0.0, "clip_norm": 0.0})
    config.schedule.update({"name": "constant", "warmup": "0 steps"})
    pipeline = TrainPipeline(config.data, tuple(config.streams), config.seed, config.batch_size)
    shapes = {k: jax.ShapeDtypeStruct(v.shape, v.dtype) for k, v in pipeline.batch(0).items()}
    config.mesh.data = -1
    devices = jax.devices()[:devices]
    experiment = build_experiment(config, examples=len(pipeline.source), batch_shapes=shapes, devices=devices)
    step, _ = experiment.compile_step()
    state, losses = experiment.init(), []
    for number in range(steps):
        state, metrics = step(state, jax.device_put(pipeline.batch(number), _shardings(experiment)))
        losses.append(float(metrics["loss"]))
    params = {path_name(p): np.asarray(x) for p, x in jax.tree_util.tree_leaves_with_path(state.params)}
    return losses, params, jax.device_get(state.objective_state)


def _shardings(experiment):
    return {name: x.sharding for name, x in experiment.batch.items()}


def check_mesh(config, *, steps=2, devices=8, microbatches=2, rtol=1e-5, atol=1e-5):
    """Losses and parameters after `steps` are the same on one device, on `devices`, and there with micro-batches.

    The gradient of a bias is a sum over all tokens that mostly cancels: with its rows in another order one device
    differs from itself by 4e-6 of a bias's largest entry after two steps, which is where `atol` comes from.

    Args:
        config: a config whose batch divides by devices * microbatches; a small one.
        steps: of plain descent with step 0.1.
        devices: of the other mesh.
        microbatches: of the third run; 1: it is left out.
        rtol, atol: of parameters, `atol` times the largest entry of each.
    """
    config.microbatches = 1
    losses, params, _ = first_steps(config, 1, steps)
    for parts in sorted({1, microbatches}):
        config.microbatches = parts
        other_losses, other, _ = first_steps(config, devices, steps)
        np.testing.assert_allclose(other_losses, losses, rtol=rtol)
        for name, x in params.items():
            limit = atol * max(np.abs(x).max(), 1e-2)
            np.testing.assert_allclose(other[name], x, rtol=rtol, atol=limit, err_msg=name)
