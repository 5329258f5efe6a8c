"""The command line itself: help without JAX, exit status, one message for each mistake in flags and config files."""

import json
import subprocess
import sys

import pytest

from mmjax import cli
from tests import tiny

HEAVY = {"jax", "jaxlib", "numpy", "flax", "optax", "orbax", "grain", "PIL", "tokenizers", "matplotlib"}


def run(*argv, code=""):
    """A real process: (status, output, messages). `code` runs after the command, in its place."""
    start = ["-c", f"import sys\nfrom mmjax import cli\nstatus = cli.main(sys.argv[1:])\n{code}\nsys.exit(status)"]
    done = subprocess.run([sys.executable, *start, *argv], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def told(capsys, *argv) -> str:
    """The one message of a command that must fail with status 2."""
    assert cli.main([str(a) for a in argv]) == 2
    said = capsys.readouterr().err
    assert said.startswith("mmjax: ") and said.count("mmjax: ") == 1 and "Traceback" not in said
    return said


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], *([verb, "--help"] for verb in cli.VERBS)], ids=" ".join)
def test_help_imports_nothing_heavy(argv):
    status, out, err = run(*argv, code=f"print('heavy:', sorted({HEAVY} & sys.modules.keys()))")
    assert (status, err) == (0, "")
    assert out.endswith("heavy: []\n")
    if len(argv) < 2:
        assert all(f"  {verb} " in out for verb in cli.VERBS)
    else:
        assert f"mmjax {argv[0]}: {cli.VERBS[argv[0]].summary}" in out
        assert all(f"--{name} " in out for name in (*cli.VERBS[argv[0]].required, "json", "debug"))


def test_unknown_verb(capsys):
    message = told(capsys, "evall")
    assert "unknown verb 'evall'" in message and "did you mean 'eval'" in message and "train" in message


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["train", f"--config={tiny.__file__}"], "--workdir is missing"),
        (["train", f"--config={tiny.__file__}", "--workdir="], "--workdir is missing"),
        (["train", "--workdir=/nowhere/run"], "--config is missing"),
        (["data"], "--config is missing"),
        (["eval"], "--workdir is missing"),
        (["embed", "--workdir=/nowhere/run"], "--source is missing"),
        (["embed", "--workdir=/nowhere/run", "--source=emoji:unseen"], "--out is missing"),
        (["eval", "--workdir=/nowhere/run", "--stepp=3"], "stepp"),
        (["eval", "--workdir=/nowhere/run", "--step=x"], "flag --step=x"),
        (["eval", "--workdir=/nowhere/run", "more"], "unexpected argument 'more'"),
        (["data", f"--config={tiny.__file__}", "--config.seed=a"], "flag --config.seed=a"),
        (["data", f"--config={tiny.__file__}", "--config.sed=1"], "did you mean 'seed'"),
        (["data", f"--config={tiny.__file__}:many"], "'many steps' is not a duration"),
    ],
)
def test_mistakes_in_flags(capsys, argv, said):
    message = told(capsys, *argv)
    assert said in message and "to do: " in message


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("def get_config(arg=''):\n    return 1 / 0", "ZeroDivisionError: division by zero", 2),
        ("def get_config(arg=''):\n    return nothing", "NameError: name 'nothing' is not defined", 2),
        ("import numpy as np\ndef get_config(arg=''):\n    return np.nothing", "no attribute 'nothing'", 3),
        ("import os\nhome = os.environ['NO_SUCH_NAME']", "KeyError: 'NO_SUCH_NAME'", 2),
        ("import json\ndef get_config(arg=''):\n    return json.loads('{')", "JSONDecodeError", 3),
        ("def get_config(arg=''):\n    open('/no/such/file')", "FileNotFoundError", 2),
        ("def get_config(arg=''):\n    raise ValueError('too wide')", "ValueError: too wide", 2),
        ("def get_config(arg=''):\n    pass", "it returns no config", None),
        ("def get_config(arg=''):\n    return 3", "it returns no config", None),
        ("config = 3", "no get_config", None),
        ("def get_config(arg=''):\n    return (", "the config file is no Python", 2),
        (
            "import ml_collections\ndef get_config(arg=''):\n    return ml_collections.ConfigDict({'seed': 1})",
            "the config lacks the key 'duration'",
            None,
        ),
    ],
)
def test_config_file_that_raises_or_is_none(capsys, tmp_path, text, said, line):
    file = tmp_path / "mine.py"
    file.write_text(text)
    message = told(capsys, "data", f"--config={file}", f"--out={tmp_path}/sheet.png")
    assert said in message and "to do: " in message
    if line:
        assert f"{file}:{line}" in message


def test_missing_config_file(capsys, tmp_path):
    message = told(capsys, "data", f"--config={tmp_path}/none.py")
    assert "No such file" in message and f"where: {tmp_path}/none.py" in message
    assert f"where: {tmp_path}\n" in told(capsys, "data", f"--config={tmp_path}")


def test_traceback_only_with_debug(tmp_path):
    (tmp_path / "mine.py").write_text("def get_config(arg=''):\n    return 1 / 0")
    status, _, err = run("data", f"--config={tmp_path}/mine.py")
    assert status == 2 and "Traceback" not in err and "--debug" in err
    status, _, err = run("data", f"--config={tmp_path}/mine.py", "--debug")
    assert status not in (0, 2) and "Traceback" in err and "ZeroDivisionError" in err


def test_interrupted(capsys, monkeypatch):
    def interrupt(values):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.VERBS, "eval", cli.VERBS["eval"]._replace(run=interrupt))
    assert cli.main(["eval", "--workdir=run"]) == 130
    assert capsys.readouterr().err == "mmjax: interrupted\n"


def test_refusal_of_the_machine(capsys, monkeypatch):
    def refuse(values):
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")

    monkeypatch.setitem(cli.VERBS, "eval", cli.VERBS["eval"]._replace(run=refuse))
    message = told(capsys, "eval", "--workdir=run")
    assert "No space left on device" in message and "free space" in message


def test_json_is_one_object_on_the_last_line(capsys, monkeypatch):
    monkeypatch.setitem(cli.VERBS, "eval", cli.VERBS["eval"]._replace(run=lambda values: {"step": values.step}))
    assert cli.main(["eval", "--workdir=run", "--json", "--step=3"]) == 0
    assert json.loads(capsys.readouterr().out) == {"step": 3}
    assert cli.main(["eval", "--workdir=run", "--step=3"]) == 0
    assert capsys.readouterr().out == ""


def test_processes_that_cannot_join(tmp_path):
    argv = ["train", f"--config={tiny.__file__}", f"--workdir={tmp_path}/run", "--coordinator=localhost:1"]
    status, _, err = run(*argv)
    assert status == 2 and "cannot join the other processes" in err and "--num_processes" in err
    assert not (tmp_path / "run").exists()
