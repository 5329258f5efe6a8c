"""The dry runs of tpu_pod.sh and slurm.sbatch print exactly what would run, and mistakes are named."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[2] / "launch"


def launch(script, *arguments, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_") and k != "DRY_RUN"}
    command = ["bash", LAUNCH / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=kept | environment)


def fake(folder: Path, name: str) -> str:
    """A PATH in whose first folder `name` prints its arguments, one in a line, and exits with 5."""
    program = folder / name
    program.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\nexit 5\n')
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def remote(line: str, name: str, zone: str) -> str:
    """The command that a printed gcloud line runs on all workers."""
    *gcloud, command = shlex.split(line)
    assert gcloud == ["gcloud", "compute", "tpus", "tpu-vm", "ssh", name, f"--zone={zone}", "--worker=all"]
    assert subprocess.run(["bash", "-n", "-c", command.removeprefix("--command=")]).returncode == 0
    return command.removeprefix("--command=")


def test_tpu_pod_installs_a_git_ref_and_runs_on_all_workers():
    arguments = ["--dry-run", "--ref=v1.0", "--repo=https://host/mmjax.git", "pod", "us-east1-d", "--"]
    done = launch("tpu_pod.sh", *arguments, "train", "--config=my file.py", "--workdir=gs://bucket/x")
    install, train = (remote(line, "pod", "us-east1-d") for line in done.stdout.splitlines())
    assert "git fetch -q --depth=1 https://host/mmjax.git v1.0;" in install
    assert install.endswith('"jax[tpu]" -e mmjax')
    folder, command = train.split(" && ")
    assert folder == "cd mmjax"
    mmjax, *rest = shlex.split(command)
    assert mmjax == "../mmjax-env/bin/mmjax"
    assert rest == ["train", "--config=my file.py", "--workdir=gs://bucket/x", "--coordinator=auto"]


def test_tpu_pod_copies_a_wheel_and_the_configs(tmp_path):
    wheel = tmp_path / "mmjax-0.1.0-py3-none-any.whl"
    wheel.touch()
    done = launch("tpu_pod.sh", "--dry-run", f"--wheel={wheel}", "pod", "z", "--", "train")
    _, copy, install, train = done.stdout.splitlines()
    sources = [str(wheel), str(LAUNCH.parent / "configs")]
    assert shlex.split(copy)[4:] == ["scp", "--recurse", *sources, "pod:mmjax/", "--zone=z", "--worker=all"]
    assert f"mmjax/{wheel.name}" in remote(install, "pod", "z")
    assert remote(train, "pod", "z") == "cd mmjax && ../mmjax-env/bin/mmjax train --coordinator=auto"


def test_tpu_pod_stops_at_the_first_failure(tmp_path):
    arguments = ["--ref=main", "--repo=r", "pod", "z", "--", "train"]
    done = launch("tpu_pod.sh", *arguments, PATH=fake(tmp_path, "gcloud"))
    assert done.returncode == 5
    assert done.stdout.count("--worker=all") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pod", "z", "--", "train"], "give one of --ref and --wheel"),
        (["--ref=a", "--wheel=b", "pod", "z", "--", "train"], "give one of --ref and --wheel"),
        (["--wheel=/absent.whl", "pod", "z", "--", "train"], "no wheel /absent.whl"),
        (["--ref=a", "pod", "z"], "launch/tpu_pod.sh [--dry-run]"),
    ],
)
def test_tpu_pod_names_a_mistake(arguments, message):
    done = launch("tpu_pod.sh", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_slurm_dry_run_prints_resources_and_command():
    done = launch("slurm.sbatch", "train", "--config=my file.py", DRY_RUN="1", SLURM_CPUS_PER_TASK="12")
    *resources, command = done.stdout.splitlines()
    assert done.returncode == 0
    srun = ["srun", "--kill-on-bad-exit=1", "--cpus-per-task=12", "mmjax", "train", "--config=my file.py"]
    assert shlex.split(command) == [*srun, "--coordinator=auto"]
    options = dict(line.removeprefix("sbatch --").partition("=")[::2] for line in resources)
    assert options["gpus-per-node"] == options["ntasks-per-node"]
    assert options["signal"] == "TERM@120"


def test_slurm_runs_the_command_and_gives_its_status(tmp_path):
    done = launch("slurm.sbatch", "train", PATH=fake(tmp_path, "srun"))
    assert done.returncode == 5
    assert done.stdout.splitlines()[-3:] == ["mmjax", "train", "--coordinator=auto"]


def test_slurm_refuses_other_than_one_task_a_gpu():
    done = launch("slurm.sbatch", "train", DRY_RUN="1", SLURM_GPUS_ON_NODE="4", SLURM_NTASKS_PER_NODE="8")
    assert (done.returncode, "give --ntasks-per-node=4" in done.stderr) == (2, True)


def test_slurm_needs_a_command():
    done = launch("slurm.sbatch", DRY_RUN="1")
    assert (done.returncode, "no command" in done.stderr) == (2, True)
