"""Cells, grids, and the commands that they become."""

import pytest

from mmjax import cli
from mmjax import config as c
from mmjax.errors import UserError
from mmjax.experiments.jobs import list_jobs, read_sweep, resolve, select, train_flags
from tests import tiny

TEMPERATURE = "objectives.contrastive.temperature"


def file_with(tmp_path, sweep: str):
    """A config file: the tiny config, and a get_sweep that returns what the text says."""
    file = tmp_path / "mine.py"
    file.write_text(
        "from mmjax import config as c\nfrom tests import tiny\nget_config = tiny.get_config\n"
        f"def get_sweep():\n    return {sweep}\n"
    )
    return str(file)


def jobs_of(tmp_path, sweep: str):
    file = file_with(tmp_path, sweep)
    return list_jobs(file, read_sweep(file), tmp_path / "run")


def test_a_grid_has_every_combination_under_the_shortest_names():
    cells = c.grid({TEMPERATURE: (0.05, 0.1), "towers.image.width": (16,), "towers.text.width": (8, 32)})
    assert list(cells) == [
        f"temperature={t},image.width=16,text.width={w}" for t in ("0.05", "0.1") for w in ("8", "32")
    ]
    assert cells["temperature=0.1,image.width=16,text.width=8"] == {
        TEMPERATURE: 0.1,
        "towers.image.width": 16,
        "towers.text.width": 8,
    }
    assert list(c.grid({"arg": ("softmax",), "batch_size": (64, 256)})) == [
        "arg=softmax,batch_size=64",
        "arg=softmax,batch_size=256",
    ]
    assert list(c.grid({"a.b": (1,), "b": (2,)})) == ["a.b=1,b=2"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: c.grid({"seed": ()}), "seed = () in a grid"),
        (lambda: c.grid({"data.source": "emoji:train"}), "'emoji:train' in a grid"),
        (lambda: c.grid({"data.source": ("a/b", "ab")}), "one name"),
        (lambda: c.grid({"data.image_size": (16, 16)}), "one name"),
        (lambda: c.sweep({}), "without cells"),
        (lambda: c.sweep({"a": {}}, baseline="b"), "'b' is no cell"),
        (lambda: c.sweep({"a": {}}, seeds=(1, 1)), "seeds = (1, 1)"),
        (lambda: c.sweep({"a": {}}, seeds=()), "seeds = ()"),
        (lambda: c.sweep({"a": {}}, metrics="val/x/acc1"), "one text"),
        (lambda: c.sweep({"../a": {}}), "cannot be a folder's"),
        (lambda: c.sweep({".a": {}}), "cannot be a folder's"),
        (lambda: c.sweep({"a": {"seed": 1}}), "changes the seed"),
        (lambda: c.sweep({"a": "sigmoid"}), "no dictionary"),
    ],
)
def test_sweeps_that_mean_nothing(make, said):
    with pytest.raises(UserError) as error:
        make()
    assert said in str(error.value)


def test_jobs_are_the_commands_that_give_their_configs(tmp_path):
    cells = {
        "plain": {},
        "long": {"arg": "20", TEMPERATURE: 0.02},
        "others": {"data.captions": (("{label}", 1.0),), "data.languages": ["de", "en"], "log.tensorboard": True},
    }
    jobs = jobs_of(tmp_path, f"c.sweep({cells!r}, seeds=(3, 5))")
    assert [job.name for job in jobs[:4]] == ["plain seed 3", "long seed 3", "others seed 3", "plain seed 5"]
    long, others = jobs[1], jobs[5]
    assert long.folder == tmp_path / "run" / "long" / "seed_3"
    assert (long.config.duration, long.config.seed) == ("20 steps", 3)
    assert long.config.objectives.contrastive.temperature == 0.02
    assert others.config.data.captions == (("{label}", 1.0),) and others.config.log.tensorboard is True
    assert others.config.data.languages == ("de", "en")
    assert c.to_json(resolve(others.flags)) == c.to_json(others.config)
    assert train_flags("f.py", {"arg": ""}, 1) == ("--config=f.py:", "--config.seed=1")


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        (f"c.sweep({{'a': {{'{TEMPERATURE[:-1]}': 0.1}}}})", f"did you mean '{TEMPERATURE}'"),
        ("c.sweep({'a': {'nothing.at.all': 1}})", "no config key 'nothing.at.all'"),
        ("c.sweep({'a': {'batch_size': 'many'}})", "--config.batch_size=many"),
        ("c.sweep({'a': {'data.unique': 3}})", "data.unique = 3 has the wrong type"),
        ("c.sweep({'a': {'data.resize': 'stretch'}})", "data.resize = 'stretch' is not known"),
        ("c.sweep({'a': {'arg': 'x'}})", "'x steps' is not a duration"),
        ("c.sweep({'a': {}, 'b': {'seed_': 1}})", "no config key 'seed_'"),
        (f"c.sweep({{'a': {{}}, 'b': {{'{TEMPERATURE}': 0.07}}}})", "the cells 'a' and 'b' are equal"),
        ("c.sweep({'a': {}}, metrics=('val/unsen/acc1',))", "evaluations here: unseen"),
        ("c.sweep({'a': {}}, metrics=('unseen/acc1',))", "is measured in no cell"),
    ],
)
def test_cells_that_cannot_be_run(tmp_path, sweep, said):
    with pytest.raises(UserError) as error:
        jobs_of(tmp_path, sweep)
    assert said in str(error.value)


def test_some_cells_and_seeds(tmp_path):
    cells = {"x=1,y=2": {}, "b": {TEMPERATURE: 0.1}, "c": {TEMPERATURE: 0.2}}
    jobs = jobs_of(tmp_path, f"c.sweep({cells!r}, seeds=(0, 1))")
    assert select(jobs) == jobs
    assert {job.cell for job in select(jobs, only=["b,c"])} == {"b", "c"}
    assert {job.cell for job in select(jobs, only=["x=1,y=2", "c"])} == {"x=1,y=2", "c"}
    assert {job.seed for job in select(jobs, seeds=["1"])} == {1}
    with pytest.raises(UserError, match="no cell 'd' in this sweep"):
        select(jobs, only=["b,d"])
    with pytest.raises(UserError, match="no seed 4 in this sweep"):
        select(jobs, seeds=["4"])


def test_a_cell_goes_on_from_another_at_its_seed(tmp_path):
    cells = {"first": {}, "next": {"init_from": "{workdir}/first/seed_{seed}"}, "first_b": {"embed_dim": 8}}
    jobs = jobs_of(tmp_path, f"c.sweep({cells!r}, seeds=(1, 12))")
    assert [(job.name, job.needs) for job in jobs if job.needs] == [
        ("next seed 1", ("first seed 1",)),
        ("next seed 12", ("first seed 12",)),
    ]
    assert jobs[1].config.init_from == f"{tmp_path}/run/first/seed_1"
    with pytest.raises(UserError, match="next seed 1 needs first seed 1, which runs no earlier"):
        jobs_of(tmp_path, f"c.sweep({dict(reversed(cells.items()))!r}, seeds=(1, 12))")


@pytest.mark.parametrize(
    ("text", "said", "place"),
    [
        ("def get_config(arg=''):\n    pass\n", "no get_sweep", ""),
        ("def get_sweep():\n    return {}\n", "it returns no sweep", ""),
        ("x = 1\ndef get_sweep():\n    return 1 / 0\n", "ZeroDivisionError", ":3"),
        ("def get_sweep(:\n", "SyntaxError", ":1"),
    ],
)
def test_files_without_a_sweep(tmp_path, capsys, text, said, place):
    file = tmp_path / "mine.py"
    file.write_text(text)
    assert cli.main(["sweep", f"--config={file}", f"--workdir={tmp_path}/run"]) == 2
    message = capsys.readouterr().err
    assert said in message and f"{file}{place}" in message and "Traceback" not in message
    assert not (tmp_path / "run").exists()


def test_a_missing_file_and_missing_flags(tmp_path, capsys):
    assert cli.main(["sweep", f"--config={tmp_path}/none.py", f"--workdir={tmp_path}/run"]) == 2
    assert f"{tmp_path}/none.py" in capsys.readouterr().err
    assert cli.main(["sweep", f"--config={tiny.__file__}"]) == 2
    assert "--workdir is missing" in capsys.readouterr().err
    assert cli.main(["sweep", "--workdir=/nowhere/run"]) == 2
    assert "--config is missing" in capsys.readouterr().err
