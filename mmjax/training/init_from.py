"""Weights of another run as the start of a new one."""

from pathlib import Path

import jax
import orbax.checkpoint as ocp

from mmjax.errors import UserError
from mmjax.mesh import path_name
from mmjax.training.state import TrainState


def init_from(folder: str, experiment, *, log=print) -> TrainState:
    """A fresh state whose parameters are taken from `folder` where path and shape match.

    The moving average is taken if the other run kept one. Step, moments and the objective's state start anew.

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
        name = path_name(path)
        if name not in found or found[name].shape != fresh.shape:
            shape = f", which is {found[name].shape} there and {fresh.shape} here" if name in found else ""
            missing.append(f"{name}{shape}")
            return fresh
        taken.append(name)
        return jax.device_put(found[name].astype(fresh.dtype), fresh.sharding)

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
