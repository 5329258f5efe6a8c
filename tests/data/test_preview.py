"""What `mmjax data` shows of sound and of broken data."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from shards import pairs, settings, write_tar, write_tokenizer

import mmjax.data.preview as preview_module
from mmjax.data.contact_sheet import contact_sheet, wrap
from mmjax.data.preview import as_text, preview
from mmjax.errors import UserError


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(preview_module, "SECONDS", 0.05)


def config(tmp_path, members, streams=("image", "text")):
    data = settings(write_tar(tmp_path / "a.tar", members), write_tokenizer(tmp_path / "t.json"))
    return SimpleNamespace(data=data, streams=dict.fromkeys(streams, "tower"), seed=0, batch_size=8)


def test_preview_tells_and_draws(tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    summary = preview(config(tmp_path, pairs(20)), str(sheet))
    assert summary["samples"] == 20
    assert summary["members"] == {"png, txt, json": 20}
    assert summary["batches_per_epoch"] == 2
    assert summary["tokens"] == {"fewest": 5, "median": 5, "most": 5, "full_share": 0.0}
    assert summary["samples_per_second"] > 0
    assert summary["unreadable"] == {}
    assert len(summary["examples"]) == 8
    first = summary["examples"][0]
    assert first["captions"]["text"].startswith("a ")
    assert first["tokens"]["text"] == 5
    json.dumps(summary)
    assert capsys.readouterr().out.strip() == as_text(summary)
    with Image.open(sheet) as image:
        assert image.width > 6 * 128
        assert np.asarray(image).std() > 10


def test_preview_shows_faults_instead_of_stopping(tmp_path, capsys):
    members = [(name, b"?" if name.endswith("3.png") else data) for name, data in pairs(20)]
    summary = preview(config(tmp_path, members), str(tmp_path / "sheet.png"))
    assert summary["unreadable"]["image does not decode"] >= 2
    assert "000000003" in capsys.readouterr().out


def test_preview_of_text_alone_writes_no_sheet(tmp_path):
    summary = preview(config(tmp_path, pairs(20), streams=("text",)), str(tmp_path / "sheet.png"))
    assert summary["contact_sheet"] == ""
    assert not (tmp_path / "sheet.png").exists()


def test_preview_where_nothing_can_be_written(tmp_path):
    with pytest.raises(UserError, match="contact sheet"):
        preview(config(tmp_path, pairs(20)), str(tmp_path / "no" / "sheet.png"))


def test_contact_sheet_holds_every_picture_at_its_place():
    images = np.stack([np.full((64, 64, 3), 10 * n, np.uint8) for n in range(8)])
    sheet = np.asarray(contact_sheet(images, [f"caption {n}" for n in range(8)], columns=6))
    cell_width, cell_height = 128 + 8, 128 + 3 * 15 + 8
    for n in range(8):
        y, x = 8 + n // 6 * cell_height, 8 + n % 6 * cell_width
        assert (sheet[y : y + 128, x : x + 128] == 10 * n).all()
        assert sheet[y + 129 : y + 150, x : x + 128].min() < 100, "the caption is drawn"


def test_wrap_cuts_what_does_not_fit():
    class Mono:
        def getlength(self, text):
            return len(text)

    assert wrap("one two three", Mono(), 20) == "one two three"
    assert wrap("one two three", Mono(), 7) == "one two\nthree"
    assert wrap("aa bb cc dd ee", Mono(), 3) == "aa\nbb\ncc\u2026"
    assert wrap("abcdefghij", Mono(), 5) == "abcd\u2026"
