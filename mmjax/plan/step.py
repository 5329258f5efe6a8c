"""The training step of a config, compiled for devices that are not here. Runs in the child process."""

import jax

from mmjax.config import from_json
from mmjax.data.shapes import batch_shapes
from mmjax.plan.program import analyse
from mmjax.training.experiment import Experiment, build_experiment
from mmjax.training.flops import count_flops
from mmjax.training.progress import notes_told


def plan_step(devices, *, config: str, examples: int, hlo: str = "") -> dict:
    """What one chip of `devices` holds and does in a step of `config`.

    Args:
        devices: of the slice.
        config: the config as JSON text.
        examples: examples of an epoch.
        hlo: file for the optimised program, or "".

    Returns:
        What `analyse` returns, with "notes" of choices made, "mesh", "total_steps", "encoders" (see `encoders`) and
        "model_flops": what the step would cost a chip if nothing were computed twice.
    """
    config = from_json(config)
    experiment = experiment_on(devices, config, examples)
    said = []
    with notes_told(said.append):
        lowered = experiment.trace_step().lower()
    return analyse(lowered, hlo) | {
        "notes": said,
        "mesh": dict(experiment.mesh.shape),
        "total_steps": experiment.total_steps,
        "model_flops": model_flops(devices, config, examples) / len(devices),
        "encoders": encoders(experiment),
    }


def experiment_on(devices, config, examples: int) -> Experiment:
    """The experiment of a config on given devices; its data need not be there."""
    shapes = batch_shapes(config.data, tuple(config.streams), config.batch_size)
    shapes = {name: jax.ShapeDtypeStruct(*shape) for name, shape in shapes.items()}
    return build_experiment(config, examples=examples, batch_shapes=shapes, devices=devices)


def model_flops(devices, config, examples: int) -> int:
    """FLOPs of a step over all devices without recomputation: no remat, no micro-batches."""
    config = from_json(config.to_json())
    config.microbatches = 1
    for tower in config.towers.values():
        if "remat" in tower:
            tower.remat = "none"
    experiment = experiment_on(devices, config, examples)
    return count_flops(experiment.train_step(), experiment.state, experiment.batch)


def encoders(experiment: Experiment) -> dict[str, dict]:
    """Tower -> {"parameters", "flops"}: of the encoder with its projection, FLOPs of one example forward."""
    params, found = experiment.state.params["model"], {}
    for stream, tower in experiment.config.streams.items():
        names = [name for name in (tower, f"{tower}_projection") if name in params]
        sizes = jax.tree.leaves({name: params[name] for name in names})
        example = {k: jax.ShapeDtypeStruct((1, *v.shape[1:]), v.dtype) for k, v in experiment.batch.items()}
        example = {k: v for k, v in example.items() if k in (stream, f"{stream}_mask")}
        flops = count_flops(lambda p, b: experiment.model.apply({"params": p}, b), params, example)
        found.setdefault(tower, {"parameters": sum(x.size for x in sizes), "flops": flops})
    return found
