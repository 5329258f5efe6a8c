"""metrics.jsonl, TensorBoard and Weights & Biases: one row of numbers after another."""

import json
from pathlib import Path

from mmjax.errors import UserError


class History:
    """The metrics of a run, appended to metrics.jsonl and to the trackers that the config asks for.

    Opening it drops rows after `step`, which a killed run wrote beyond its last checkpoint, so that a resumed run
    leaves the same file as an uninterrupted one.

    Args:
        workdir: the run's folder.
        step: the step from which the run goes on.
        config: for the trackers; None: only metrics.jsonl.
    """

    def __init__(self, workdir: Path, step: int, config=None):
        self.path = Path(workdir) / "metrics.jsonl"
        rows = [row for row in read_history(workdir) if row["step"] <= step]
        self._file = open(self.path.with_suffix(".tmp"), "w")  # noqa: SIM115  closed by close()
        self._file.writelines(json.dumps(row) + "\n" for row in rows)
        self._file.flush()
        self.path.with_suffix(".tmp").rename(self.path)
        self._trackers = _trackers(config, workdir) if config else []

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Append one row; a kill may cut it, and `read_history` then leaves it out."""
        self._file.write(json.dumps({"step": step, **metrics}) + "\n")
        self._file.flush()
        for write in self._trackers:
            write(step, metrics)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_history(workdir: Path) -> list[dict]:
    """The whole rows of a workdir's metrics.jsonl, in order; none where there is no file."""
    path = Path(workdir) / "metrics.jsonl"
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # the row that a kill cut
            continue
    return rows


def _trackers(config, workdir) -> list:
    trackers = []
    if config.log.tensorboard:
        trackers.append(_tensorboard(Path(workdir) / "tensorboard"))
    if config.log.wandb:
        trackers.append(_wandb(config, workdir))
    return trackers


def _tensorboard(folder: Path):
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise _missing("tensorboard", "log.tensorboard") from error
    writer = SummaryWriter(str(folder))

    def write(step, metrics):
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return write


def _wandb(config, workdir):
    try:
        import wandb
    except ImportError as error:
        raise _missing("wandb", "log.wandb") from error
    # The folder's name as id: a resumed run goes on in the same curve.
    name = Path(workdir).absolute().name
    run = wandb.init(project=config.log.wandb, id=name, dir=str(workdir), resume="allow", config=config.to_dict())
    return lambda step, metrics: run.log(metrics, step=step)


def _missing(extra: str, key: str) -> UserError:
    return UserError(
        f"{extra} is not installed", where=f"config.{key}", remedy=f"pip install 'mmjax[{extra}]', or leave the key unset"
    )
