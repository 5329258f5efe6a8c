"""What `mmjax data` shows of sound and of broken data."""

import base64
import io
import json
import re
import wave
from types import SimpleNamespace

import numpy as np
import pytest
from media import frames, npy, ramp
from PIL import Image
from shards import pairs, settings, write_tar, write_tokenizer

import mmjax.data.inspection.preview as preview_module
from mmjax.data.inspection.contact_sheet import contact_sheet, wrap
from mmjax.data.inspection.preview import as_text, preview
from mmjax.data.inspection.show import strip_picture, wave_picture
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
    five = {"fewest": 5, "median": 5, "most": 5, "full_share": 0.0, "unit": "tokens", "note": "vocabulary 13"}
    assert summary["lengths"] == {"text": five}
    assert summary["shapes"]["image"] == [8, 8, 8, 3, "uint8"] and summary["shapes"]["text_mask"] == [8, 6, "bool"]
    assert summary["samples_per_second"] > 0
    assert summary["unreadable"] == {}
    assert len(summary["examples"]) == 8
    first = summary["examples"][0]["streams"]
    assert first["text"].startswith("'a ") and first["text"].endswith(" (5)")
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


MANY = {
    "audio_keys": (),
    "video_keys": ("clip.npy",),
    "series_keys": ("imu.npy",),
    "audio": SimpleNamespace(sample_rate=8000, seconds=0.05, crop="random"),
    "video": SimpleNamespace(frames=4, sampling="random"),
    "series": SimpleNamespace(steps=5, channels=2, crop="random"),
    "audio_augment": {},
}


def test_page_has_players_for_sounds_and_clips(tmp_path):
    members = pairs(10)
    for n in range(10):
        members.append((f"{n:09d}.wav", ramp(10 * n, 200)))
        members.append((f"{n:09d}.clip.npy", npy(frames(10 * n, 6))))
        members.append((f"{n:09d}.imu.npy", npy(np.arange(2.0 * n + 2).reshape(-1, 2))))
    asked = config(tmp_path, sorted(members), streams=("image", "text", "audio", "video", "series"))
    vars(asked.data).update(MANY)
    asked.data.captions = (("<b>{txt}", 1.0),)
    summary = preview(asked, str(tmp_path / "sheet.png"))
    assert summary["page"] == str(tmp_path / "sheet.html")
    assert summary["lengths"]["audio"]["fewest"] == 0.025 and summary["lengths"]["audio"]["unit"] == "seconds"
    assert summary["lengths"]["series"] | {"median": 0, "full_share": 0} == {
        **{"fewest": 1, "median": 0, "most": 5, "full_share": 0, "unit": "steps", "note": ""}
    }
    shown = summary["examples"][0]["streams"]
    assert shown["audio"] == "0.03 s of sound" and shown["video"] == "4 frames" and shown["series"].endswith("steps")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.height > 5 * 128, "four pictures of each of 8 samples"
    page = (tmp_path / "sheet.html").read_text()
    assert "http" not in page.replace("http-equiv", ""), "it needs nothing from elsewhere"
    assert page.count("<section>") == 8 and "&lt;b&gt;a" in page and "<b>" not in page
    sounds, clips = (re.findall(f'src="data:{kind};base64,([^"]+)"', page) for kind in ("audio/wav", "image/webp"))
    assert len(sounds) == len(clips) == 8
    key = int(summary["examples"][0]["key"])
    with wave.open(io.BytesIO(base64.b64decode(sounds[0]))) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (8000, 1, 200)
        first = np.frombuffer(sound.readframes(3), "<i2")
    np.testing.assert_allclose(first / 32767, (10 * key + 1 + np.arange(3)) / 1000, atol=1e-4)
    with Image.open(io.BytesIO(base64.b64decode(clips[0]))) as clip:
        assert clip.n_frames == 4 and clip.convert("RGB").getpixel((3, 3))[0] == 10 * key


def test_pictures_of_signals_and_frames():
    wave = np.concatenate([np.zeros(50), np.ones(50)])
    picture = wave_picture(wave, 20)
    ink = picture[..., 0] < 255
    assert ink[0, 10:].all() and not ink[0, :10].any() and ink[10, :10].all()
    assert (wave_picture(np.zeros(0), 20) == 255).all()
    strip = strip_picture(np.stack([np.full((8, 8, 3), n, np.uint8) for n in range(3)]), 16)
    assert [strip[4, 4, 0], strip[4, 12, 0], strip[12, 4, 0], strip[12, 12, 0]] == [0, 1, 2, 255]
