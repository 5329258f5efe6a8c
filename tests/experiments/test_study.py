"""Several runs side by side: what is compared with what, and what is said of runs that cannot be."""

import json
import shutil

import pytest

from mmjax.errors import UserError
from mmjax.experiments.comparison import (
    difference_table,
    hash_table,
    key_table,
    markdown,
    value_table,
)
from mmjax.experiments.notes import notes
from mmjax.experiments.study import read_study
from tests import tiny
from tests.experiments.fake_runs import GAP, RECALL, fake_run, fake_sweep

SEEDS = range(3)


def recalls(*values):
    return dict(enumerate(values))


def rows(table):
    return {row[0]: row[1:] for row in table.rows}


def test_a_sweep_with_everything(tmp_path):
    found = {"a": recalls(0.10, 0.20, 0.30), "b": recalls(0.15, 0.26, 0.37), "c": recalls(0.1, 0.1, 0.4)}
    study = read_study([fake_sweep(tmp_path / "run", found)])
    assert rows(value_table(study, study.metrics)) == {
        "a": ("20.0 ± 10.0",),
        "b": ("26.0 ± 11.0",),
        "c": ("20.0 ± 17.3",),
    }
    assert rows(difference_table(study)) == {
        "b": ("+6.0 [+5.0, +7.0] better",),
        "c": ("+0.0 [-10.0, +10.0] no difference shown",),
    }
    changed = key_table(study)
    assert changed.headings == ("", "objectives.contrastive.temperature")
    assert rows(changed) == {"a": ("0.1",), "b": ("0.2",), "c": ("0.30000000000000004",)}
    assert notes(study) == []


def test_another_baseline_and_none(tmp_path):
    found = {"a": recalls(0.1, 0.2, 0.3), "b": recalls(0.15, 0.26, 0.37)}
    folder = fake_sweep(tmp_path / "run", found)
    assert rows(difference_table(read_study([folder], "b"))) == {"a": ("-6.0 [-7.0, -5.0] worse",)}
    with pytest.raises(UserError, match="no cell 'd'"):
        read_study([folder], "d")
    study = read_study([fake_sweep(tmp_path / "free", found, baseline="")])
    assert study.baseline == "a"  # the first


def test_settings_as_a_baseline_compare_cells_whose_others_are_the_same(tmp_path):
    values = {"x": (0.1, 0.2), "y": (0.3, 0.5)}
    found = {
        f"loss={k},batch={b}": recalls(*[v] * 3)
        for k, some in values.items()
        for b, v in zip((1, 2), some, strict=True)
    }
    study = read_study([fake_sweep(tmp_path / "run", found, baseline="loss=x")])
    assert rows(difference_table(study)) == {
        "loss=y,batch=1": ("+20.0 [+20.0, +20.0] better",),
        "loss=y,batch=2": ("+30.0 [+30.0, +30.0] better",),
    }
    study = read_study([tmp_path / "run"], "batch=1")
    assert list(rows(difference_table(study))) == ["loss=x,batch=2", "loss=y,batch=2"]
    with pytest.raises(UserError, match="no cell 'loss=z'"):
        read_study([tmp_path / "run"], "loss=z")


def test_gaps_are_stated_and_never_filled(tmp_path):
    """A run that was never started, one that stopped, one that diverged, one that lacks the metric."""
    found = {"a": recalls(0.1, 0.2, 0.3), "b": {0: 0.2, 1: 0.3, 2: None}, "c": {0: 0.4}}
    folder = fake_sweep(tmp_path / "run", found)
    fake_run(folder / "c/seed_1", seed=1, recall=0.9, finished=False, changes=[("batch_size", 8)])
    fake_run(folder / "c/seed_2", seed=2, recall=0.9, finished=False, changes=[("batch_size", 8)])
    (folder / "c/seed_2/nonfinite.json").write_text(json.dumps({"step": 7}))
    fake_run(folder / "c/seed_0", recall=0.4, changes=[("batch_size", 8)])
    (folder / "b/seed_1/config.json").unlink()
    study = read_study([folder])
    assert rows(value_table(study, study.metrics)) == {
        "a": ("20.0 ± 10.0",),
        "b": ("20.0 (1 of 2)",),
        "c": ("40.0 (1 of 3)",),
    }
    assert rows(difference_table(study)) == {"b": ("+10.0 too few seeds",), "c": ("+30.0 too few seeds",)}
    said = "\n".join(notes(study))
    assert "c seed 1: stopped after step 4 of 12; its results are left out." in said
    assert "c seed 2: diverged: loss or gradient not finite at step 7; its results are left out." in said
    assert "Not started: b seed 1." in said
    assert f"{RECALL} is missing (not measured, or not finite) in b seed 2." in said


def test_values_that_are_not_finite_are_missing(tmp_path):
    folder = fake_sweep(tmp_path / "run", {"a": {0: float("nan"), 1: 0.1}})
    study = read_study([folder])
    assert rows(value_table(study, study.metrics)) == {"a": ("10.0 (1 of 2)",)}
    assert "a seed 0" in notes(study)[0]


def test_runs_of_other_data_are_not_compared(tmp_path):
    found = {"a": recalls(0.1, 0.2, 0.3), "b": recalls(0.1, 0.2, 0.3)}
    folder = fake_sweep(tmp_path / "run", found, gap=1.0, metrics=(RECALL, GAP))
    for seed in SEEDS:
        change = [("objectives.contrastive.temperature", 0.2)]
        fake_run(folder / f"b/seed_{seed}", recall=0.9, gap=2.0, seed=seed, data={"unseen": "other"}, changes=change)
    study = read_study([folder])
    assert rows(difference_table(study)) == {"b": ("other data", "+1 [+1, +1] higher")}
    assert any("b has other data than a: unseen" in note for note in notes(study))
    for seed in SEEDS:
        fake_run(folder / f"b/seed_{seed}", recall=0.9, gap=2.0, seed=seed, data={"gap bank": "other"}, changes=change)
    assert rows(difference_table(read_study([folder])))["b"][1] == "other data"
    fake_run(folder / "b/seed_1", recall=0.9, seed=1, data={"train": "third"})
    with pytest.raises(UserError, match="the seeds of 'b' had different data: gap bank, train"):
        read_study([folder])


def test_single_runs_are_grouped_by_what_differs(tmp_path):
    cold = [("objectives.contrastive.temperature", 0.02)]
    folders = [
        fake_run(tmp_path / "one", recall=0.1),
        fake_run(tmp_path / "two", recall=0.2, seed=1),
        fake_run(tmp_path / "cold", recall=0.5, changes=cold),
        fake_run(tmp_path / "again", recall=0.1),
    ]
    study = read_study(folders)
    assert {name: sorted(runs) for name, runs in study.cells.items()} == {"one": [0, 1], "cold": [0], "again": [0]}
    assert (study.baseline, study.metrics) == ("one", (RECALL,))
    assert rows(value_table(study, study.metrics))["one"] == ("15.0 ± 7.1",)


def test_a_single_run_is_finished_by_its_last_results(tmp_path):
    for name, finished in (("whole", True), ("cut", False)):
        fake_run(tmp_path / name, recall=0.1, finished=finished)
        (tmp_path / name / "finished.json").unlink(missing_ok=True)
    study = read_study([tmp_path / "whole", tmp_path / "cut"])
    assert [run.trouble for runs in study.cells.values() for run in runs.values()] == [
        "",
        "stopped after step 4 of 12",
    ]


def test_reruns_agree_or_not(tmp_path):
    found = {"a": recalls(0.1, 0.2, 0.3)}
    first, second = (fake_sweep(tmp_path / name, found) for name in ("first", "second"))
    study = read_study([first, second])
    assert list(study.cells) == ["first/a", "second/a"] and study.baseline == "first/a"
    said = notes(study)
    assert len(said) == 3 and all(note.endswith("their final parameters agree in every bit.") for note in said)
    fake_run(second / "a/seed_1", seed=1, recall=0.2, bits=5, changes=[("objectives.contrastive.temperature", 0.1)])
    said = notes(read_study([first, second]))
    assert [note.endswith("DIFFER.") for note in said] == [False, True, False]
    hashes = rows(hash_table(read_study([first, second])))
    assert hashes["first/a"][0] == hashes["second/a"][0] and hashes["first/a"][1] != hashes["second/a"][1]
    for folder in (first, second):
        shutil.rmtree(folder / "a/seed_0/checkpoints")
    assert "cannot be compared" in notes(read_study([first, second]))[0]


def test_reruns_that_went_on_from_runs_of_their_own_sweeps(tmp_path):
    folders = []
    for name in ("first", "second"):
        sweep = fake_sweep(tmp_path / name, {"a": {0: 0.1}, "b": {0: 0.2}})
        change = [("objectives.contrastive.temperature", 0.2), ("init_from", f"{sweep}/a/seed_0")]
        fake_run(sweep / "b/seed_0", recall=0.2, changes=change)
        folders.append(sweep)
    said = [note for note in notes(read_study(folders)) if "agree" in note]
    assert [note.split(" have ")[0] for note in said] == [
        "first/a seed 0, second/a seed 0",
        "first/b seed 0, second/b seed 0",
    ]


def test_other_machines_are_named(tmp_path):
    folder = fake_sweep(tmp_path / "run", {"a": recalls(0.1, 0.2)})
    file = folder / "a/seed_1/environment.json"
    environment = json.loads(file.read_text())
    file.write_text(json.dumps(environment | {"packages": {"jax": "2"}}))
    assert notes(read_study([folder])) == ["The runs differ in packages.jax: 1 (1 of 2), 2 (1 of 2)."]


def test_folders_that_hold_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no run and no sweep here"):
        read_study([tmp_path / "empty"])
    folder = fake_sweep(tmp_path / "run", {"a": {0: 0.1}})
    (folder / "a/seed_0/environment.json").write_text("{")
    with pytest.raises(UserError, match=r"environment.json is damaged"):
        read_study([folder])
    (folder / "a/seed_0/config.json").unlink()
    with pytest.raises(UserError, match="none of the runs was started"):
        read_study([folder])


def test_markdown_holds_the_tables_and_the_commands(tmp_path):
    found = {"a": recalls(0.1, 0.2, 0.3), "b": recalls(0.15, 0.26, 0.37)}
    text = markdown(read_study([fake_sweep(tmp_path / "run", found)]), "mine")
    assert text.startswith("# mine\n\n## Mean ± standard deviation over seeds\n\n")
    assert "| b | +6.0 [+5.0, +7.0] better |" in text
    assert f"mmjax sweep --config={tiny.__file__} --workdir={tmp_path}/run\n" in text
    assert "1 comparison in 4" in text
