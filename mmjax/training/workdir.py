"""The folder of one run: its lock, its config, its environment, its metrics."""

import contextlib
import fcntl
import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import jax

from mmjax import config as config_lib
from mmjax.errors import UserError

PACKAGES = ("mmjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow", "tokenizers")


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one move, so that a kill or a full disk leaves the old one or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"cannot write: {error.strerror}", where=str(path), remedy="free space or make the folder writable"
        ) from error


@contextlib.contextmanager
def locked(workdir: Path):
    """Hold the workdir for this process; the kernel lets go of it even after a kill.

    Raises:
        UserError: if it cannot be written, or another process holds it.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = open(workdir / ".lock", "w")  # noqa: SIM115  held until the run ends
    except OSError as error:
        raise UserError(
            f"the workdir cannot be written: {error.strerror}", where=str(workdir), remedy="choose another --workdir"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                "another process is writing to this workdir",
                where=str(workdir),
                remedy="wait for it, stop it, or choose another --workdir",
            ) from error
        yield


def settle(workdir: Path, config, data: dict[str, str]) -> None:
    """Write config.json and environment.json of a new run, or check that a resumed one is the same run.

    Args:
        workdir: the run's folder.
        config: the resolved config.
        data: fingerprint of each source.

    Raises:
        UserError: listing every difference that would change the run's numbers.
    """
    config_file, environment_file = workdir / "config.json", workdir / "environment.json"
    if config_file.exists() and environment_file.exists():
        changed = config_lib.differences(read_config(workdir), config)
        before = _recorded_data(environment_file)
        changed += [
            f"data of {k}: {before.get(k)} -> {data.get(k)}"
            for k in sorted({*before, *data})
            if before.get(k) != data.get(k)
        ]
        if changed:
            raise UserError(
                "this workdir belongs to another run:\n    " + "\n    ".join(changed),
                where=str(workdir),
                remedy="choose another --workdir (with --config.init_from to start from these weights)",
            )
    write_atomically(environment_file, json.dumps(environment(data), indent=2))
    write_atomically(config_file, config_lib.to_json(config))


def _recorded_data(environment_file: Path) -> dict[str, str]:
    try:
        return json.loads(environment_file.read_text())["data"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = "choose another --workdir, or delete the file to give up the check that the data is the same"
        raise UserError("environment.json is damaged", where=str(environment_file), remedy=remedy) from error


def environment(data: dict[str, str]) -> dict:
    """Versions, devices, git commit and data fingerprints: what a number depends on beside the config."""
    devices = jax.devices()
    return {
        "packages": {p: metadata.version(p) for p in PACKAGES},
        "python": platform.python_version(),
        "system": platform.platform(),
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "processes": jax.process_count(),
        "cores": os.cpu_count(),
        "git_commit": _git_commit(),
        "data": data,
    }


def _git_commit() -> str:
    here = Path(__file__).parent
    try:
        out = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return out.stdout.strip() if out.returncode == 0 else ""


def read_config(workdir: Path):
    """The config that a workdir was trained with.

    Raises:
        UserError: if the folder is no workdir, or its config.json damaged or of another version.
    """
    file = Path(workdir) / "config.json"
    try:
        config = config_lib.from_json(file.read_text())
        config_lib.validate(config)
    except FileNotFoundError as error:
        raise UserError("no run here", where=str(file), remedy="name a folder that `mmjax train` wrote") from error
    except (OSError, ValueError, AttributeError, UserError) as error:
        reason = error.what if isinstance(error, UserError) else str(error)
        remedy = "restore it from a copy, or choose another --workdir"
        raise UserError(f"config.json is damaged: {reason}", where=str(file), remedy=remedy) from error
    return config
