"""What the command line says to bad input: one message with place and remedy, status 2, and nothing is lost."""

import json
import re
import resource
import shutil
from pathlib import Path

import pytest

from mmjax import cli
from mmjax.training import loop
from mmjax.training.history import read_history
from mmjax.training.train import train
from mmjax.training.workdir import locked
from tests import tiny
from tests.data.shards import pairs, write_tar
from tests.training.test_kill import Life, checkpoint, step, steps_of

TINY = f"--config={tiny.__file__}:4"
OWN_TARS = """
from tests import tiny

def get_config(arg):
    config = tiny.get_config("3")
    config.data.source = arg
    config.data.captions = (("{txt}", 1.0),)
    del config.evaluations.unseen
    return config
"""


@pytest.fixture
def told(capsys):
    """The message of a command that must fail: one, with status 2, without a traceback."""

    def told(*argv) -> str:
        capsys.readouterr()
        assert cli.main([str(a) for a in argv]) == 2
        said = capsys.readouterr().err
        assert said.count("mmjax: ") == 1 and "Traceback" not in said
        assert "to do: " in said, "it names no remedy"
        return said.split("mmjax: ")[1]

    return told


@pytest.fixture
def own_tars(tmp_path):
    """The flag for a config that trains on a tar of these members."""

    def flag(members, name="own.tar"):
        (tmp_path / "own.py").write_text(OWN_TARS)
        return f"--config={tmp_path}/own.py:{write_tar(tmp_path / name, members)}"

    return flag


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workdir of four steps."""
    workdir = tmp_path_factory.mktemp("finished")
    train(tiny.get_config("4"), workdir)
    return workdir


@pytest.fixture
def workdir_of(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--config.batch_size=12", ("batch_size 12 does not divide into 8 device(s)", "such as 8 or 16")),
        ("--config.mesh.data=16", ("data=16, fsdp=1, tensor=1 does not fit the 8 device(s)", "config.mesh")),
        ("--config.mesh.tensor=3", ("does not fit the 8 device(s)", "give one of them as -1")),
        ("--config.data.source=nothing", ("unknown source 'nothing'", "emoji:")),
        ("--config.data.source=emoji:nothing", ("nothing", "unseen")),
        ("--config.data.source=/no/such.tar", ("no such file", "/no/such.tar", "config.data.source")),
        ("--config.data.source=/no/*.tar", ("no tar matches '/no/*.tar'",)),
        ("--config.data.tokenizer=/no/such.json", ("no tokenizer", "/no/such.json")),
        ("--config.data.context=1000", ("context",)),
        ("--config.evaluations.unseen.source=/no/such.tar", ("check config.evaluations.unseen.source", "/no/such.tar")),
        ("--config.init_from=/no/run", ("no checkpoint there", "config.init_from = /no/run")),
        ("--config.schedule.warmup=soon", ("'soon' is not a duration", "config.schedule.warmup")),
    ],
)
def test_values_that_fit_nothing_here(told, tmp_path, flag, said):
    message = told("train", TINY, f"--workdir={tmp_path}/run", flag)
    assert all(part in message for part in said), message
    assert read_history(tmp_path / "run") == []


def test_tars_that_are_none(told, tmp_path, own_tars):
    whole = Path(write_tar(tmp_path / "whole.tar", pairs(40))).read_bytes()
    (tmp_path / "loop.tar").symlink_to("loop.tar")
    (tmp_path / "empty.tar").write_bytes(b"")
    (tmp_path / "junk.tar").write_bytes(b"no tar at all " * 1000)
    (tmp_path / "half.tar").write_bytes(whole[: len(whole) // 2])
    write_tar(tmp_path / "hollow.tar", [])
    flag = own_tars(pairs(1)).rsplit(":", 1)[0]
    for name, said in {
        "missing": ("no such file", "check config.data.source"),
        "loop": ("cannot read the file: Too many levels", "check config.data.source"),
        "empty": ("the tar is empty (0 bytes)", "write the shard again"),
        "junk": ("this is not a tar", "write the shard again"),
        "half": ("damaged tar", f"of {len(whole) // 2}", "half-written"),
        "hollow": ("the tar holds no samples", "KEY.EXTENSION"),
    }.items():
        for verb, rest in (("data", f"--out={tmp_path}/sheet.png"), ("train", f"--workdir={tmp_path}/run")):
            message = told(verb, f"{flag}:{tmp_path}/{name}.tar", rest)
            assert all(part in message for part in (f"{name}.tar", *said)), message


def test_tokenizer_file_that_is_none(told, tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    message = told("train", TINY, f"--workdir={tmp_path}/run", f"--config.data.tokenizer={tmp_path}/tokenizer.json")
    assert "no tokenizer: " in message and f"where: {tmp_path}/tokenizer.json" in message


@pytest.mark.parametrize(
    ("member", "data", "reason"),
    [("png", b"no picture", "image does not decode"), ("txt", b" \n", "caption is empty")],
)
def test_too_many_bad_samples(told, tmp_path, own_tars, member, data, reason):
    members = [(name, data if name.endswith(member) else whole) for name, whole in pairs(40)]
    message = told("train", own_tars(members), f"--workdir={tmp_path}/run")
    assert reason in message and "own.tar [0000000" in message and "mend" in message


def test_a_few_bad_samples_are_replaced_and_counted(tmp_path, own_tars, capsys):
    bad = {"000000003.png": b"no picture", "000000005.txt": b""}
    flag = own_tars([(name, bad.get(name, data)) for name, data in pairs(40)])
    assert cli.main(["train", flag, f"--workdir={tmp_path}/run"]) == 0
    said = capsys.readouterr().err
    assert re.search(r"replaced unreadable samples among \d+ rows: .*\d+ x image does not decode", said)
    assert f"{tmp_path}/own.tar [000000003]: image does not decode" in said
    assert "[000000005]: caption is empty" in said
    assert [row["step"] for row in read_history(tmp_path / "run")] == [1, 2, 3]


def test_workdir_that_cannot_be_written(told, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (f"{tmp_path}/file/run", "/proc/run"):
        message = told("train", TINY, f"--workdir={place}")
        assert "the workdir cannot be written" in message and place in message


def test_workdir_that_another_process_holds(told, workdir_of):
    before = sorted(workdir_of.rglob("*"))
    with locked(workdir_of):
        message = told("train", TINY, f"--workdir={workdir_of}")
    assert "another process is writing" in message and str(workdir_of) in message
    assert sorted(workdir_of.rglob("*")) == before


def test_full_disk_in_mid_save_keeps_the_checkpoint_before(tmp_path):
    life = Life(tmp_path / "run", steps=60).until(lambda life: checkpoint(4)(life) and step(5)(life))
    resource.prlimit(life.process.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
    assert life.end() == 2
    said = life.said()
    assert "Traceback" not in said and said.count("mmjax: ") == 1
    assert "a checkpoint could not be written" in said and "File too large" in said
    assert f"where: {tmp_path}/run/checkpoints" in said and "the checkpoint before it is whole" in said
    last = steps_of(tmp_path / "run")[-1]
    again = Life(tmp_path / "run", 1, steps=60)
    assert again.end() == 0 and f"going on from step {last} of 60" in again.said()


def test_full_disk_while_logging(told, tmp_path, monkeypatch):
    """/dev/full refuses every byte, as a full disk does."""
    monkeypatch.setattr(loop, "History", FullHistory)
    message = told("train", TINY, f"--workdir={tmp_path}")
    assert "cannot write: No space left on device" in message and "metrics.jsonl" in message


class FullHistory(loop.History):
    """The history of a run whose disk filled up after it began."""

    def __init__(self, workdir, step, config):
        super().__init__(workdir, step, config)
        self._file.close()
        self._file = open("/dev/full", "ab", buffering=0)  # noqa: SIM115


def test_loss_that_is_not_finite(told, tmp_path):
    flags = ("--config.objectives.contrastive.temperature=1e-39", "--config.objectives.contrastive.max_scale=inf")
    message = told("train", TINY, f"--workdir={tmp_path}", *flags)
    assert "at step 1" in message and "not finite" in message and "config.optimizer.learning_rate" in message


VERBS = {
    "eval": (),
    "report": (),
    "embed": ("--source=emoji:validation-unseen", "--out=nowhere/x.npy"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_folders_that_hold_no_run(told, tmp_path, verb, workdir_of):
    message = told(verb, f"--workdir={tmp_path}/none", *VERBS[verb])
    assert "no run here" in message and f"{tmp_path}/none" in message and not (tmp_path / "none").exists()
    message = told(verb, f"--workdir={workdir_of}", "--step=3", *VERBS[verb])
    assert "no checkpoint of step 3" in message and "steps here: 4" in message
    shutil.rmtree(workdir_of / "checkpoints")
    assert "no checkpoint in this workdir" in told(verb, f"--workdir={workdir_of}", *VERBS[verb])
    assert not (workdir_of / "checkpoints").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"seed": 0}', "\xff"])
def test_damaged_config(told, workdir_of, text):
    (workdir_of / "config.json").write_text(text, "latin-1")
    for verb in ("eval", "train"):
        message = told(verb, *(TINY,) * (verb == "train"), f"--workdir={workdir_of}")
        assert "config.json is damaged" in message and f"where: {workdir_of}/config.json" in message


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_damaged_environment(told, workdir_of, text):
    (workdir_of / "environment.json").write_text(text)
    assert "environment.json is damaged" in told("train", TINY, f"--workdir={workdir_of}")


def test_workdir_of_another_config(told, workdir_of):
    message = told("train", TINY, f"--workdir={workdir_of}", "--config.optimizer.b1=0.5")
    assert "belongs to another run" in message and "optimizer.b1: 0.9 -> 0.5" in message


def test_reading_a_run_leaves_it_as_it_is(finished, workdir_of, told):
    """A run may go on meanwhile: nothing half-written is swept away, nothing damaged is moved."""
    half = workdir_of / "checkpoints" / "8.orbax-checkpoint-tmp-0"
    half.mkdir()
    for file in (workdir_of / "checkpoints" / "4").rglob("d/*"):
        file.write_bytes(b"damaged")
    before = sorted(workdir_of.rglob("*"))
    assert "no checkpoint in this workdir" in told("eval", f"--workdir={workdir_of}")
    assert sorted(workdir_of.rglob("*")) == before


def test_json_is_the_last_line(workdir_of, capsys):
    assert cli.main(["eval", f"--workdir={workdir_of}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["step"] == 4
