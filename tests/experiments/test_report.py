"""report.html: whole, self-contained, safe with any text, and a pure function of its data."""

import base64
import io
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mmjax.config import default
from mmjax.errors import UserError
from mmjax.evaluation.table import Row, Table
from mmjax.experiments.report import Hit, Query, Similarity, draw, heat, panels, picture_uri, write_report

VOID = {"meta", "img", "link", "br", "input"}


class Page(HTMLParser):
    """Every element's tag and attributes, and the text; fails on an element that is not closed."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.text, self._open = [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data.strip())

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def decode(uri: str) -> np.ndarray:
    prefix, data = uri.split(",")
    assert prefix == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def picture(value: int, side: int = 4) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def history():
    rows = [{"step": s, "train/loss": 5.0 / s, "train/lr": 1e-3, "train/logit_scale": 14.0} for s in (10, 20, 30)]
    rows.append({"step": 30, "val/unseen/image_to_text_R@1": 0.06, "val/unseen/text_to_image_R@1": 0.07})
    return rows


def full_arguments():
    hits = [Hit(picture(v), f"hit {v}", v == 30) for v in (10, 20, 30, 40, 50)]
    return {
        "title": "quickstart",
        "config": default(),
        "environment": {"python": "3.11.7", "packages": {"jax": "0.10.2"}},
        "history": history(),
        "tables": [Table(("R@1/model", "R@1/chance"), (Row("unseen", {"R@1/model": 0.0625}),))],
        "queries": [Query("a red apple", hits), Query("a rocket", hits)],
        "similarity": Similarity(np.array([[0.9, -0.1], [0.2, 0.7]]), [picture(1), picture(2)], ["apple", "rocket"]),
        "notes": ["stopped at step 30"],
    }


def write(tmp_path, **arguments) -> str:
    write_report(tmp_path / "report.html", **arguments)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> str:
    """The text of a page with everything."""
    return write(tmp_path_factory.mktemp("full"), **full_arguments())


def test_everything_given_is_on_the_page(full):
    page = Page(full)
    for text in ("quickstart", "stopped at step 30", "unseen", "6.2", "–", "a red apple", "rocket", "optimizer.b2"):
        assert text in page.text
    assert page.text[page.text.index("optimizer.learning_rate") + 1] == "0.001"
    assert page.text[page.text.index("packages.jax") + 1] == "0.10.2"
    # Three charts of training, one of the evaluation, ten hits, two row labels.
    assert len(page.all("img")) == 3 + 1 + 10 + 2


def test_right_hits_and_only_they_are_framed(full):
    page = Page(full)
    framed = [
        following["alt"]
        for (tag, attrs), (_, following) in zip(page.elements, page.elements[1:], strict=False)
        if tag == "figure" and attrs.get("class") == "right"
    ]
    assert framed == ["hit 30", "hit 30"]


def test_pictures_reach_the_page_unchanged(full):
    page = Page(full)
    shown = {image["alt"]: image["src"] for image in page.all("img")}
    np.testing.assert_array_equal(decode(shown["hit 40"]), picture(40))


def test_the_page_needs_nothing_from_elsewhere(full):
    page = Page(full)
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert page.all("script") == page.all("link") == []
    assert not re.search(r"https?://|url\(|@import", re.sub(r"base64,[^\"]+", "", full))


def test_text_is_never_markup(tmp_path):
    attack = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
    arguments = full_arguments() | {
        "title": attack,
        "notes": [attack],
        "config": {attack: attack},
        "environment": {attack: attack},
        "tables": [Table((attack,), (Row(attack, {}),))],
        "queries": [Query(attack, [Hit(picture(0), attack, True)])],
        "similarity": Similarity(np.eye(1), [picture(0)], [attack]),
        "history": [{"step": 1, f"val/{attack}/acc1": 0.5}],
    }
    page = Page(write(tmp_path, **arguments))
    assert page.all("script") == []
    assert not any("onerror" in attrs for _, attrs in page.elements)
    assert page.text.count(attack) >= 10


def test_a_run_without_steps_or_evaluations_has_a_page_too(tmp_path):
    page = Page(write(tmp_path, title="empty", config={}, environment={}, history=[]))
    assert "empty" in page.text
    assert page.all("img") == []
    assert not {"Results", "Curves"} & set(page.text)


def test_the_same_data_give_the_same_bytes(full, tmp_path):
    assert full == write(tmp_path, **full_arguments())


def test_a_failed_write_leaves_the_old_report_and_says_so(tmp_path, monkeypatch):
    old = write(tmp_path, **full_arguments() | {"history": []})

    def full_disk(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(UserError, match="No space left on device") as error:
        write_report(tmp_path / "report.html", **full_arguments() | {"title": "new"})
    assert error.value.where == str(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == old


def test_a_missing_folder_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        write_report(tmp_path / "absent" / "report.html", **full_arguments())


def test_panels_hold_the_numbers_of_the_history():
    loss, rate, scale, unseen = panels(history())
    assert [p.title for p in (loss, rate, scale, unseen)] == ["Training loss", "Learning rate", "Logit scale", "unseen"]
    assert loss.lines[0].steps == [10, 20, 30]
    np.testing.assert_allclose(loss.lines[0].values, [0.5, 0.25, 1 / 6])
    assert unseen.percent
    assert [(line.label, line.steps, line.values) for line in unseen.lines] == [
        ("image → text R@1", [30], [6.0]),
        ("text → image R@1", [30], [pytest.approx(7.0)]),
    ]
    # One measure, so one colour; two directions, so two kinds of dashes.
    assert unseen.lines[0].colour == unseen.lines[1].colour
    assert unseen.lines[0].dashes != unseen.lines[1].dashes


def test_a_chart_shows_its_line_even_of_one_point_and_stands_gaps():
    blank, point, gap = (
        decode(draw(panels([{"step": s, "loss": v} for s, v in rows])[0]))
        for rows in ([(1, math.nan), (2, math.nan)], [(1, 2.0)], [(1, 2.0), (2, math.nan), (3, 1.0), (4, 1.5)])
    )
    blue = [(image[..., 2].astype(int) - image[..., 0] > 100) & (image[..., 3] > 200) for image in (blank, point, gap)]
    assert blue[0].sum() == 0
    assert blue[1].sum() > 20
    assert blue[2].sum() > 20


def test_heat_colours_run_from_the_least_value_to_the_largest():
    cells = heat(np.array([[-0.25, 0.5], [0.125, 0.5]]))
    assert [[text for text, _ in row] for row in cells] == [["-0.25", "0.50"], ["0.12", "0.50"]]
    assert cells[0][0][1] == "#440154"  # viridis' two ends
    assert cells[0][1][1] == cells[1][1][1] == "#fde725"
    assert {colour for row in heat(np.ones((2, 2))) for _, colour in row} == {"#440154"}


def test_a_large_picture_is_shrunk_in_proportion():
    wide = np.zeros((200, 400, 3), np.uint8)
    assert decode(picture_uri(wide)).shape == (48, 96, 3)
