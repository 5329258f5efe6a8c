"""A run as a report sees it, read from its folder alone: no model is built and no checkpoint loaded."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmjax import config as config_lib
from mmjax.data.mixture import open_data
from mmjax.durations import to_steps
from mmjax.errors import UserError
from mmjax.experiments.fingerprint import parameters_hash
from mmjax.experiments.sweep import is_finished
from mmjax.training.history import read_history
from mmjax.training.workdir import read_config

RESULTS = ("val/", "val_raw/")


@dataclass(frozen=True)
class Run:
    """One run that was started.

    Attributes:
        folder: its workdir.
        config: its resolved config.
        environment: environment.json.
        history: the rows of metrics.jsonl.
        trouble: "" of a finished run, else why it has no results, such as "stopped after step 40 of 300".
        sweep: the folder of the sweep that it is of, or its own.
    """

    folder: Path
    config: Any
    environment: Mapping
    history: list[dict]
    trouble: str
    sweep: Path

    @cached_property
    def results(self) -> dict[str, float]:
        """The last finite value of everything that was evaluated or logged; none of a run that is not finished."""
        last = {} if self.trouble else {k: v for row in self.history for k, v in row.items() if k != "step"}
        return {k: v for k, v in last.items() if math.isfinite(v)}

    @property
    def data(self) -> Mapping[str, str]:
        """Fingerprint of the training source ("train") and of every evaluation's."""
        return self.environment["data"]

    @cached_property
    def parameters(self) -> str:
        """Hash of the newest checkpoint's parameters; empty where there is none."""
        return parameters_hash(self.folder)

    @cached_property
    def identity(self) -> str:
        """What two runs have in common that must end with the same bits: their config, but for what changes none.

        The folders of other runs that it goes on from count by their place in the sweep.
        """
        leaves = dict(config_lib.flatten(self.config))
        text = repr(sorted((k, repr(v)) for k, v in leaves.items() if not k.startswith(config_lib.FREE_ON_RESUME)))
        return text.replace(str(self.sweep.absolute()), "{workdir}")


def read_run(folder: Path, sweep: Path | None = None) -> Run | None:
    """The run in a folder, or None if none was started there.

    Args:
        folder: its workdir.
        sweep: the folder of the sweep that it is of; None: it is of none.

    Raises:
        UserError: a file of it is damaged.
    """
    if not (folder / "config.json").exists():
        return None
    config, history = read_config(folder), read_history(folder)
    try:
        environment = json.loads((folder / "environment.json").read_text())
        environment["data"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "restore it from a copy, or leave this folder out"
        raise UserError("environment.json is damaged", where=str(folder), remedy=remedy) from error
    return Run(folder, config, environment, history, _trouble(folder, config, history), sweep or folder)


def _trouble(folder: Path, config, history: list[dict]) -> str:
    if is_finished(folder):
        return ""
    if (folder / "nonfinite.json").exists():
        step = json.loads((folder / "nonfinite.json").read_text())["step"]
        return f"diverged: loss or gradient not finite at step {step}"
    total, done = _total_steps(config), max((row["step"] for row in history), default=0)
    evaluated = any(k.startswith(RESULTS) for row in history if row["step"] == total for k in row)
    if done < total or config.evaluations and not evaluated:
        return f"stopped after step {done} of {total}"
    return ""


def _total_steps(config) -> int:
    examples = len(open_data(config.data)) if "epoch" in str(config.duration) else 0
    return to_steps(config.duration, batch_size=config.batch_size, examples=examples, where="config.duration")
