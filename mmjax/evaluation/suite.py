"""The evaluations of a config, run when they are due."""

import functools

from mmjax.evaluation.embeddings import Embeddings, make_encoder
from mmjax.evaluation.kinds import build_evaluations
from mmjax.mesh import batch_devices
from mmjax.teachers import base_streams

BATCH = 256


class Suite:
    """Runs the evaluations of an experiment on a training state.

    Metrics are named "val/<evaluation>/<metric>". Where the state holds a moving average of the parameters, that is
    what "val/" stands for, and "val_raw/" for the parameters themselves.

    Args:
        experiment: the built `Experiment`.

    Raises:
        UserError: an evaluation that cannot be.
    """

    def __init__(self, experiment):
        self.evaluations = build_evaluations(experiment.config)
        self.chance: dict[str, float] = {}
        self._data, self._mesh = experiment.config.data, experiment.mesh
        self._last = experiment.total_steps
        self._every = {
            name: experiment.steps(e.every, where=f"config.evaluations.{name}.every")
            for name, e in self.evaluations.items()
        }
        self._encode = make_encoder(experiment.model, experiment.teachers, experiment.mesh)
        self._objective, self._model = experiment.objective, experiment.model
        self._bases = functools.partial(base_streams, experiment.model, experiment.teachers)

    def due(self, state, step: int) -> dict[str, float]:
        """Metrics of the evaluations due at `step`; all are at the last one."""
        return self._run(state, [n for n, every in self._every.items() if step % every == 0 or step == self._last])

    def all(self, state) -> dict[str, float]:
        """Metrics of every evaluation."""
        return self._run(state, list(self.evaluations))

    def embeddings(self, params) -> Embeddings:
        """Embeddings under these parameters, one of `weights`."""
        devices = batch_devices(self._mesh)
        encode = functools.partial(self._encode, params)
        part = lambda name: (self._objective.part(name), params["objective"].get(name, {}))  # noqa: E731
        rows, model = -(-BATCH // devices) * devices, (self._model, params["model"])
        return Embeddings(encode, self._data, rows, self._mesh, self._bases, part, model)

    def _run(self, state, names: list[str]) -> dict[str, float]:
        results = {}
        for prefix, params in weights(state).items() if names else ():
            embeddings = self.embeddings(params)
            for name in names:
                metrics, chance = self.evaluations[name](embeddings)
                results |= {f"{prefix}/{name}/{k}": v for k, v in metrics.items()}
                self.chance |= {f"val/{name}/{k}": v for k, v in chance.items()}
        return results


def weights(state) -> dict:
    """Prefix of metrics -> parameters that they are of, the teachers' among them."""
    params = {"val": state.params} if state.ema is None else {"val": state.ema, "val_raw": state.params}
    return {prefix: {**tree, "teachers": state.teachers} for prefix, tree in params.items()}
