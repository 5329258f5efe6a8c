"""The page of several runs: whole, self-contained, safe with any text."""

import base64
import json
import re

import numpy as np
import pytest

from mmjax import cli
from mmjax.errors import UserError
from mmjax.experiments.cells import numeric_axis
from mmjax.experiments.charts import band, charts
from mmjax.experiments.compare import compare
from mmjax.experiments.report import Hit, Query
from mmjax.experiments.study import read_study
from tests.experiments.fake_runs import GAP, RECALL, fake_run, fake_sweep
from tests.experiments.test_report import Page

FOUND = {"a": {0: 0.1, 1: 0.2, 2: 0.3}, "b": {0: 0.15, 1: 0.26, 2: 0.37}}


def pictures(run):
    hits = [Hit(np.full((4, 4, 3), 10 * i, np.uint8), f"hit {i}", i == 1) for i in range(3)]
    return [Query(f"query of seed {run.config.seed}", hits)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps") / "mine"
    fake_sweep(folder, FOUND, gap=0.5, metrics=(RECALL, GAP))
    compare([str(folder)], examples=pictures)
    return folder


def test_everything_is_on_the_page(folder):
    page = Page((folder / "report.html").read_text())
    said = ["mine", "20.0 ± 10.0", "+6.0 [+5.0, +7.0] better", "query of seed 0", "objectives.contrastive.temperature"]
    for text in said:
        assert text in page.text
    shown = [image["alt"] for image in page.all("img")]
    assert shown == ["train: loss", "unseen: image → text", "gap: modality_gap", *["hit 0", "hit 1", "hit 2"] * 2]
    assert any(f"--workdir={folder}/a/seed_0" in text for text in page.text)


def test_the_page_needs_nothing_from_elsewhere(folder):
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert page.all("script") == page.all("link") == []
    assert not re.search(r"https?://|url\(|@import", re.sub(r"base64,[^\"]+", "", text))
    for image in page.all("img"):
        kind, data = image["src"].split(";base64,")
        svg = base64.b64decode(data).decode("utf-8", "replace")
        assert kind in ("data:image/png", "data:image/svg+xml")
        assert not re.search(r'href="(?!#)|<script|<image', svg)


def test_the_same_runs_give_the_same_bytes(folder, tmp_path):
    compare([str(folder)], examples=pictures, out=str(tmp_path / "report.html"))
    for ending in (".html", ".md"):
        assert (folder / f"report{ending}").read_bytes() == (tmp_path / f"report{ending}").read_bytes()


def test_text_is_never_markup(tmp_path):
    attack = "<script>alert('x')</script>"
    folder = fake_sweep(tmp_path / attack.replace("/", ""), {"a": {0: 0.1}})
    file = folder / "a/seed_0/environment.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {attack: attack}))
    compare([str(folder)], examples=lambda run: [Query(attack, [])])
    page = Page((folder / "report.html").read_text())
    assert page.all("script") == [] and page.text.count(attack) == 3


def test_a_run_whose_pictures_cannot_be_had_is_named(tmp_path):
    folder = fake_sweep(tmp_path / "run", FOUND)

    def refuse(run):
        raise UserError("no checkpoint in this workdir")

    compare([str(folder)], examples=refuse)
    assert "b: no retrieved pictures: no checkpoint" in (folder / "report.html").read_text()


def test_bands_are_means_and_deviations_over_seeds(folder):
    curve = band(read_study([folder]), "a", "train/loss")  # 5 / step + seed
    assert curve.steps == [4, 8, 12]
    np.testing.assert_allclose(curve.means, 5 / np.array([4, 8, 12]) + 1)
    np.testing.assert_allclose(curve.deviations, 1.0)


def test_a_swept_number_becomes_an_axis(tmp_path):
    names = [f"loss={loss},batch={batch}" for loss in ("a", "b") for batch in (16, 64, 256)]
    key, lines = numeric_axis(names)
    assert key == "batch"
    assert lines == {f"loss={x}": {float(b): f"loss={x},batch={b}" for b in (16, 64, 256)} for x in ("a", "b")}
    assert numeric_axis(["a", "b", "c"]) is None
    assert numeric_axis(["x=1", "x=2"]) is None  # two points make no curve
    assert numeric_axis(["x=1", "x=2", "y=3"]) is None
    study = read_study([fake_sweep(tmp_path / "run", {name: {0: 0.1} for name in names}, baseline=names[0])])
    assert charts(study)[0][0] == "unseen: image → text R@1 % over batch"


def test_the_verb(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mmjax.experiments.compare.nearest_of", lambda run: [])
    monkeypatch.chdir(tmp_path)
    one, two = fake_run(tmp_path / "one", recall=0.1), fake_run(tmp_path / "two", recall=0.3, seed=1)
    assert cli.main(["report", str(one), str(two), "--json", "--baseline=one", "--out=both.html"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last == {"report": "both.html", "table": "both.md", "runs": 2}
    sweep = fake_sweep(tmp_path / "run", FOUND)
    assert cli.main(["report", f"--workdir={sweep}"]) == 0
    assert "| b | +6.0 [+5.0, +7.0] better |" in (sweep / "report.md").read_text()
    for argv, said in (
        ([str(one), "--baseline=one"], "--baseline means nothing for the report of one run"),
        ([str(one), str(two), "--step=3"], "--step means nothing for the report of several runs"),
        ([str(one), str(two), "--out=page.pdf"], "end its name in .html"),
        ([str(one), str(tmp_path / "none")], "no run and no sweep here"),
        ([], "--workdir is missing"),
    ):
        assert cli.main(["report", *argv]) == 2
        assert said in capsys.readouterr().err
