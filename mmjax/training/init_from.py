"""Weights of another run as the start of a new one."""

from pathlib import Path

import jax
import orbax.checkpoint as ocp

from mmjax.encoders import fit_array
from mmjax.errors import UserError
from mmjax.mesh import path_name
from mmjax.teachers import Run, start_teachers
from mmjax.training.state import TrainState


def init_from(folder: str, experiment, *, log=print) -> TrainState:
    """A fresh state whose parameters are taken from `folder` where path and shape match.

    Positions of other numbers of frames or tokens are fitted (`encoders.fit_array`). `config.init_towers` says which
    tower there starts a tower of another name here, such as an image tower a video one. The moving average is taken if
    the other run kept one. Step, moments and the objective's state start anew.

    Args:
        folder: a workdir, or one checkpoint inside its `checkpoints/`.
        experiment: the built `Experiment`.
        log: called with a line for everything that was not taken.

    Raises:
        UserError: if there is no checkpoint, or nothing in it matches.
    """
    weights = read_weights(folder)
    found = {path_name(path): x for path, x in jax.tree_util.tree_leaves_with_path(weights)}
    state = experiment.init()
    taken, missing = [], []

    def take(path, fresh):
        here = path_name(path)
        there = _name_there(here, experiment.config.init_towers)
        if there not in found:
            missing.append(here)
            return fresh
        x = fit_array(here.rsplit("/", 1)[-1], found[there], fresh.shape)
        if x.shape != fresh.shape:
            missing.append(f"{here}, which is {x.shape} there and {fresh.shape} here")
            return fresh
        taken.append(there)
        return jax.device_put(x.astype(fresh.dtype), fresh.sharding)

    params = jax.tree_util.tree_map_with_path(take, state.params)
    if not taken:
        raise UserError(
            f"none of the {len(found)} arrays there matches this model", where=f"config.init_from = {folder}"
        )
    log(f"took {len(taken)} of {len(taken) + len(missing)} parameters from {folder}")
    for title, names in (("not there", missing), ("not used", sorted(found.keys() - set(taken)))):
        for name in names:
            log(f"  {title}: {name}")
    ema = None if state.ema is None else jax.tree.map(lambda x: x.copy(), params)
    return state.replace(params=params, ema=ema)


def with_teachers(state: TrainState, experiment) -> TrainState:
    """`state`, fresh, its teachers as they start: this model as it is now, or another run's weights.

    Raises:
        UserError: another run has no checkpoint, or other parameters than its own config says.
    """
    started = start_teachers(experiment.teachers, state.params["model"])
    for teacher in experiment.teachers:
        if isinstance(teacher.kind, Run):
            started[teacher.name] = _weights_of(teacher.kind.workdir, state.teachers[teacher.name])
    return state.replace(teachers=started)


def _weights_of(workdir: str, fresh):
    """The model parameters of a run, each where that of `fresh` lies."""
    weights = read_weights(workdir)["model"]
    names = [{path_name(path): x.shape for path, x in jax.tree_util.tree_leaves_with_path(t)} for t in (weights, fresh)]
    if names[0] != names[1]:
        remedy = "name a workdir whose config.json is that of its checkpoints"
        raise UserError("its parameters are not those of its config", where=f"teacher run {workdir}", remedy=remedy)
    return jax.tree.map(lambda x, like: jax.device_put(x.astype(like.dtype), like.sharding), weights, fresh)


def _name_there(name: str, towers) -> str:
    """The path of a parameter in the other run, by pairs (tower there, tower here)."""
    model, _, rest = name.partition("/")
    tower, _, parameter = rest.partition("/")
    for there, here in towers:
        if model == "model" and tower.removesuffix("_projection") == here:
            return f"{model}/{tower.replace(here, there, 1)}/{parameter}"
    return name


def read_weights(folder: str):
    """The parameters of a workdir's newest checkpoint, or of one checkpoint: its moving average if it has one."""
    place = Path(folder).absolute()
    steps = sorted((p for p in (place / "checkpoints").glob("*") if p.name.isdigit()), key=lambda p: int(p.name))
    checkpoint = steps[-1] if steps else place
    if not (checkpoint / "state").is_dir():
        raise UserError("no checkpoint there", where=f"config.init_from = {folder}", remedy="name a workdir")
    with ocp.StandardCheckpointer() as reader:
        state = reader.restore(checkpoint / "state")
    return state["ema"] or state["params"]
