"""`mmjax data --check` and `--index`: everything read once, what is broken named; every source opened."""

import json
import pickle
from types import SimpleNamespace

from media import frames, npy, ramp, webp
from shards import picture, settings, write_tar, write_tokenizer

from mmjax import cli
from mmjax import config as config_lib
from mmjax.data.inspection.check import _Checker, as_text, build_indexes, check
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.sources import open_source
from mmjax.data.tokenizers import make_tokenizer

COUNT = 70


def members():
    """Pictures a and b, two captions, a sound in two languages, a clip; damaged here and there."""
    found = []
    for n in range(COUNT):
        key = f"{n:03d}"
        found.append((f"{key}.a.png", b"broken" if n == 3 else picture(n)))
        found.append((f"{key}.b.png", b"" if n == 69 else picture(n)))
        texts = {"label": {"en": "a cat", "de": "big cat"}} if n != 40 else {"label": {"en": "a cat", "de": " "}}
        found.append((f"{key}.json", b"{" if n == 41 else json.dumps(texts).encode()))
        found.append((f"{key}.clip.npy", npy(frames(n, 4))[: None if n != 33 else -1]))
        for language in ("en", "fr") if n != 50 else ():
            found.append((f"{key}.desc.{language}.wav", b"RIFF" if (n, language) == (12, "fr") else ramp(n, 20)))
    return found


def config(tmp_path, **changes):
    audio = {"sample_rate": 8000, "seconds": 0.01, "crop": "random"}
    data = settings(
        write_tar(tmp_path / "a.tar", members()),
        write_tokenizer(tmp_path / "t.json"),
        captions=(("{label}", 1.0), ("tree {label}", 1.0)),
        languages=("en", "de", "fr"),
        audio=SimpleNamespace(**audio),
        video=SimpleNamespace(frames=2, sampling="random"),
        audio_keys=("desc.{language}.wav",),
        video_keys=("clip.npy",),
        audio_augment={},
        streams={"audio": config_lib.stream("audio").to_dict()},
        **changes,
    )
    streams = dict.fromkeys(("image", "image_2", "text", "audio", "video"), "tower")
    return SimpleNamespace(data=data, streams=streams, seed=0, batch_size=8, evaluations={})


BROKEN = {
    ("003", "image", "a.png", "image does not decode"),
    ("069", "image", "b.png", "image does not decode"),
    ("040", "text", "", "caption is empty"),
    ("041", "text", "", "json member is no JSON object"),
    ("012", "audio", "desc.fr.wav", "sound does not decode"),
    ("033", "video", "clip.npy", "video is cut off"),
}


def test_everything_broken_is_listed_and_nothing_else(tmp_path, capsys):
    asked = config(tmp_path)
    result = check(asked)
    # Both image streams draw from the same members: they are read once, and named by either.
    found = {(f["key"], f["stream"].split("_")[0], f["member"], f["reason"]) for f in result["broken"]}
    assert found == BROKEN and len(result["broken"]) == len(BROKEN)
    assert all(f["url"] == asked.data.source for f in result["broken"])
    assert result["samples"] == COUNT and result["absent"] == {"audio": 1}
    assert result["by_reason"]["image does not decode"] == 2
    said = capsys.readouterr().out
    assert said.strip() == as_text(result)
    assert "a.tar [012.desc.fr.wav]: sound does not decode" in said and "audio: lacking in 1 samples" in said
    json.dumps(result)


def test_worker_processes_can_check(tmp_path):
    asked = config(tmp_path)
    checker = _Checker(open_source(asked.data.source), asked.data, tuple(asked.streams))
    faults, lacking = pickle.loads(pickle.dumps(checker))(1)
    assert {(f["key"], f["member"]) for f in faults} == {("033", "clip.npy"), ("040", ""), ("041", "")}
    assert lacking == ["audio"]


def test_sound_that_may_not_be_missing(tmp_path):
    asked = config(tmp_path)
    asked.data.streams = {}
    result = check(asked)
    assert {f["key"] for f in result["broken"] if f["reason"] == "no sound in the sample"} == {"050"}
    assert result["absent"] == {}


def test_a_mixture_is_checked_part_by_part(tmp_path):
    """Each part by its own captions: what one part's samples lack, another's do not need."""
    asked = config(tmp_path)
    other = write_tar(tmp_path / "b.tar", [(f"{n}.txt", b"a cat" if n else b"") for n in range(5)])
    mixture = {"one": config_lib.part(asked.data.source), "two": config_lib.part(other, captions=(("{txt}", 1.0),))}
    asked.data.mixture, asked.streams = {name: part.to_dict() for name, part in mixture.items()}, {"text": "tower"}
    result = check(asked)
    assert [(f["key"], f["reason"]) for f in result["broken"]] == [
        ("040", "caption is empty"),
        ("041", "json member is no JSON object"),
        ("0", "caption is empty"),
    ]
    assert result["samples"] == COUNT + 5 and result["source"] == f"{asked.data.source} + {other}"
    assert build_indexes(asked)["samples"] == {asked.data.source: COUNT, other: 5}
    asked.data.mixture["two"]["weight"], asked.data.max_unreadable = 0.5, 1.0
    batch = TrainPipeline(asked.data, ("text",), 0, 6).batch(0)
    assert (batch["id"] >= COUNT).sum() == 2, "a third of the rows"


def test_a_long_list_is_cut_for_the_terminal_alone(tmp_path):
    asked = config(tmp_path)
    asked.streams = {"vector": "tower"}
    result = check(asked)
    assert len(result["broken"]) == COUNT and f"and {COUNT - 50} more; --json lists all" in as_text(result)


def test_indexes_of_all_sources(tmp_path, capsys):
    asked = config(tmp_path)
    other = write_tar(tmp_path / "b.tar", [("0.txt", b"a cat")])
    asked.evaluations = {"a": {"source": other}, "b": {"source": asked.data.source, "train": other}}
    assert build_indexes(asked) == {"samples": {asked.data.source: COUNT, other: 1}}
    assert f"{other}: 1 samples, opened in" in capsys.readouterr().out


FILE = """
from mmjax import config as c

def get_config(arg):
    config = c.default()
    config.data.source, config.data.tokenizer = arg.split(",")
    config.data.captions = (("{label}", 1.0),)
    config.streams = {"text": "text"}
    config.towers.text = c.tower("text", "Ti")
    config.objectives.contrastive = c.objective("softmax", streams=("text", "text"))
    return config
"""


def test_the_verb(tmp_path, capsys):
    data = config(tmp_path).data
    (tmp_path / "c.py").write_text(FILE)
    flag = f"--config={tmp_path}/c.py:{data.source},{data.tokenizer}"
    assert cli.main(["data", flag, "--check", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [(f["key"], f["reason"]) for f in result["broken"]] == [("041", "json member is no JSON object")]
    assert cli.main(["data", flag, "--index", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"samples": {data.source: COUNT}}
    assert not list(tmp_path.glob("*.png"))


def test_the_verb_that_trains_a_tokenizer(tmp_path, capsys):
    data = config(tmp_path).data
    (tmp_path / "c.py").write_text(FILE)
    flag, out = f"--config={tmp_path}/c.py:{data.source},{data.tokenizer}", tmp_path / "own.json"
    assert cli.main(["data", "train_tokenizer", flag, "--vocab_size=270", f"--out={out}", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["captions"] == COUNT - 1 and result["path"] == str(out)
    ids, mask = make_tokenizer(str(out), 8)(["a cat"])
    assert mask.sum() > 1 and ids.max() < result["vocab_size"] <= 270
    assert cli.main(["data", "train", flag]) == 2
    assert "unknown verb 'data train'" in capsys.readouterr().err


def test_a_clip_that_does_not_move_is_lacking_where_it_may_be(tmp_path):
    asked = config(tmp_path)
    found = [(f"{n}.webp", webp(frames(n, 4)) if n else picture(n, "webp")) for n in range(3)]
    asked.data.source, asked.data.video_keys = write_tar(tmp_path / "b.tar", found), ("webp",)
    asked.streams, asked.data.streams = {"video": "tower"}, {"video": config_lib.stream("video").to_dict()}
    result = check(asked)
    assert result["broken"] == [] and result["absent"] == {"video": 1}
    asked.data.streams = {}
    result = check(asked)
    assert result["by_reason"] == {"the picture does not move": 1} and result["absent"] == {}
