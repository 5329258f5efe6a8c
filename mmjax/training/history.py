"""metrics.jsonl, TensorBoard and Weights & Biases: one row of numbers after another."""

import errno
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax

from mmjax.errors import UserError
from mmjax.training.workdir import write_atomically


class Tracker(NamedTuple):
    """Something that takes rows of metrics, `write(step, metrics)`, and is closed at the end."""

    write: Callable[[int, dict[str, float]], None]
    close: Callable[[], None]


class History:
    """The metrics of a run, appended to metrics.jsonl and to the trackers that the config asks for.

    Opening it drops rows after `step`, which a killed run wrote beyond its last checkpoint, so that a resumed run
    leaves the same file as an uninterrupted one. Of several processes the first writes, the others do nothing.

    Args:
        workdir: the run's folder.
        step: the step from which the run goes on.
        config: for the trackers; None: only metrics.jsonl.

    Raises:
        UserError: here and in `write`, if the file cannot be written.
    """

    def __init__(self, workdir: Path, step: int, config=None):
        self.path = Path(workdir) / "metrics.jsonl"
        self._writers: list[Tracker] = []
        if jax.process_index() == 0:
            rows = [row for row in read_history(workdir) if row["step"] <= step]
            write_atomically(self.path, "".join(map(_line, rows)))
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115  closed by close()
            self._writers = [Tracker(self._append, self._file.close), *(_trackers(config, workdir) if config else [])]

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Append one row; a kill may cut it, and `read_history` then leaves it out."""
        for writer in self._writers:
            writer.write(step, metrics)

    def close(self) -> None:
        """Close the file and the trackers, which may still hold rows back."""
        for writer in self._writers:
            writer.close()

    def _append(self, step: int, metrics: dict[str, float]) -> None:
        line = _line({"step": step, **metrics})
        try:
            written = self._file.write(line.encode())
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            remedy = "free space and start again: the last checkpoint is whole"
            raise UserError(f"cannot write: {error.strerror}", where=str(self.path), remedy=remedy) from error


def read_history(workdir: Path) -> list[dict]:
    """The whole rows of a workdir's metrics.jsonl, in order; none where there is no file."""
    path = Path(workdir) / "metrics.jsonl"
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append({k: math.nan if v is None else v for k, v in json.loads(line).items()})
        except json.JSONDecodeError:  # the row that a kill cut
            continue
    return rows


def _line(row: dict) -> str:
    """A row as a line of JSON, which knows no NaN and no infinity: null stands for either."""
    return json.dumps({k: v if math.isfinite(v) else None for k, v in row.items()}, allow_nan=False) + "\n"


def _trackers(config, workdir) -> list[Tracker]:
    trackers = []
    if config.log.tensorboard:
        trackers.append(_tensorboard(Path(workdir) / "tensorboard"))
    if config.log.wandb:
        trackers.append(_wandb(config, workdir))
    return trackers


def _tensorboard(folder: Path) -> Tracker:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise _missing("tensorboard", "log.tensorboard") from error
    writer = SummaryWriter(str(folder))

    def write(step, metrics):
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)

    return Tracker(write, writer.close)


def _wandb(config, workdir) -> Tracker:
    try:
        import wandb
    except ImportError as error:
        raise _missing("wandb", "log.wandb") from error
    # The folder's name as id: a resumed run goes on in the same curve.
    name = Path(workdir).absolute().name
    run = wandb.init(project=config.log.wandb, id=name, dir=str(workdir), resume="allow", config=config.to_dict())
    return Tracker(lambda step, metrics: run.log(metrics, step=step), run.finish)


def _missing(extra: str, key: str) -> UserError:
    return UserError(
        f"{extra} is not installed",
        where=f"config.{key}",
        remedy=f"pip install 'mmjax[{extra}]', or leave the key unset",
    )
