"""The training loop: one batch after another, and what happens between them on schedule."""

import contextlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from mmjax.errors import UserError
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.flops import peak_flops
from mmjax.training.history import History
from mmjax.training.profiling import profiler
from mmjax.training.progress import Progress
from mmjax.training.stopping import agreed, stop_signals
from mmjax.training.workdir import write_atomically


def fit(
    experiment,
    state,
    batches: Callable[[int], contextlib.AbstractContextManager],
    *,
    workdir: Path,
    checkpoints: Checkpoints,
    evaluate: Callable,
    progress: Progress,
    counts: Callable[[], dict[str, float]] = dict,
):
    """Train from `state` to the end of the run, or until a signal asks to stop.

    Args:
        experiment: the built `Experiment`.
        state: the TrainState to go on from; it is used up.
        batches: first step -> context manager that yields an iterator of placed batches.
        workdir: where metrics and profiles go.
        checkpoints: where states go.
        evaluate: `(state, step) -> metrics` of the evaluations due at that step, empty if none is.
        progress: what shows how it goes.
        counts: what else a logged row holds, such as the samples that were replaced.

    Returns:
        (state, stopped): the last state, and the name of the signal that ended the run early, or "".

    Raises:
        UserError: at a loss or gradient that is not finite, unless such steps are skipped; the last good checkpoint is
            kept.
    """
    config, start = experiment.config, int(state.step)
    log_every = experiment.steps(config.log.every, where="config.log.every")
    save_every = experiment.steps(config.checkpoint.every, where="config.checkpoint.every")
    train_step, flops = experiment.compile_step()
    meter = Meter(experiment, flops, log_every)
    metrics, last, stop = None, None, ""  # last: the step before, whose loss is looked at while the next one runs
    with (
        contextlib.closing(History(workdir, start, config)) as history,
        stop_signals() as asked,
        batches(start) as stream,
        profiler(config.profile, workdir) as profile,
    ):
        for done in range(start + 1, experiment.total_steps + 1):
            with meter.waiting(metrics):
                batch = next(stream)
            profile(done)
            state, metrics = train_step(state, batch)
            check_finite(last, workdir)
            last = (done, metrics, batch["id"]) if config.on_nonfinite == "stop" else None
            progress.advance()
            if done % log_every == 0:
                row = meter.row(done, metrics) | counts()
                history.write(done, row)
                progress.show(done, row)
            with meter.paused():
                results = evaluate(state, done)
                if results:
                    history.write(done, results)
                stop = agreed(asked(), done, log_every)
                if (
                    stop
                    or done % save_every == 0
                    or done == experiment.total_steps
                    or config.checkpoint.best in results
                ):
                    check_finite(last, workdir)
                    checkpoints.save(state, results)
            if stop:
                break
    checkpoints.wait()
    return state, stop


def check_finite(last, workdir: Path) -> None:
    """Raise `UserError` if loss or gradients of `last` = (step, metrics, ids) are not finite.

    `nonfinite.json` in the workdir then holds the step, the metrics that are not finite, and the ids of the batch.
    """
    if last is None or math.isfinite(last[1]["loss"]) and math.isfinite(last[1]["grad_norm"]):
        return
    step, metrics, ids = last
    wrong = {k: float(v) for k, v in metrics.items() if not math.isfinite(v)}
    ids = np.asarray(multihost_utils.process_allgather(ids, tiled=True)).tolist()
    if jax.process_index() == 0:
        # "nan" and "inf" as text: JSON has no such numbers.
        record = {"step": step, "metrics": {k: str(v) for k, v in wrong.items()}, "ids": ids}
        write_atomically(workdir / "nonfinite.json", json.dumps(record))
    name = "loss" if "loss" in wrong else "grad_norm"
    raise UserError(
        f"the {name} is {wrong[name]} at step {step}",
        where=f"not finite: {wrong}; the batch begins with the examples {ids[:8]}, all are in {workdir}/nonfinite.json",
        remedy="the last checkpoint is whole: start again in a new workdir with a lower "
        "config.optimizer.learning_rate, a longer warm-up or clipping, or mend these examples; "
        "or go on with config.on_nonfinite=skip",
    )


class Meter:
    """Rates between two logged steps: examples/s, time that host and devices wait for data, FLOP/s.

    Args:
        experiment: the built `Experiment`.
        flops: of one step, over all devices.
        every: steps between two logged ones.
    """

    def __init__(self, experiment, flops: int, every: int):
        self._experiment, self._flops, self._every = experiment, flops, every
        self._peak = peak_flops(jax.devices()[0])
        self._since, self._waited, self._idle = time.perf_counter(), 0.0, 0.0

    @contextlib.contextmanager
    def waiting(self, running):
        """Time spent inside counts as waiting for data.

        If the step before, of which `running` is a dict of metrics (None before the first step), is at work for all of
        it, only the host has waited; else that time counts as the devices' too, which is a little more than it was.
        """
        begin = time.perf_counter()
        yield
        waited = time.perf_counter() - begin
        self._waited += waited
        if running is None or all(metric.is_ready() for metric in running.values()):
            self._idle += waited

    @contextlib.contextmanager
    def paused(self):
        """Time spent inside, on evaluations and checkpoints, does not count."""
        begin = time.perf_counter()
        yield
        self._since += time.perf_counter() - begin

    def row(self, step: int, metrics) -> dict[str, float]:
        """The row of metrics.jsonl for this step, by the field's names; waits until the step is done."""
        values = {f"train/{k}": float(v) for k, v in jax.device_get(metrics).items()}
        now = time.perf_counter()
        batch_time = (now - self._since) / self._every
        flops = self._flops / batch_time
        rates = {
            "train/lr": float(self._experiment.schedule(step - 1 - int(values.get("train/skipped", 0)))),
            "train/samples_per_second": self._experiment.config.batch_size / batch_time,
            "train/batch_time": batch_time,
            "train/data_time": self._waited / self._every,
            "train/data_wait_share": self._idle / (now - self._since),
            "train/flops_per_second": flops,
        }
        if self._peak:
            rates["train/mfu"] = flops / (self._peak * self._experiment.mesh.size)
        self._since, self._waited, self._idle = now, 0.0, 0.0
        return values | rates
