"""A folder of classes: names as captions, files beside a picture, and an index that follows the folders' dates."""

import json
import os
import pickle

import pytest
from shards import picture, settings, write_tokenizer

from mmjax.data.captions import text_fields
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.sources import folder, open_source
from mmjax.data.sources.index_cache import SUFFIX
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError


@pytest.fixture
def photos(tmp_path):
    """Two classes, one of them deep, sidecars, and what must be passed over."""
    files = {
        "tabby_cat/1.png": picture(1),
        "tabby_cat/2.JPG": picture(2),
        "tabby_cat/2.txt": b"a cat on a mat",
        "wild/dog/3.v2.png": picture(3),
        "wild/dog/3.v2.flac": b"fLaC",
        "wild/dog/3.v2.json": json.dumps({"mood": "glad", "class": "hound"}).encode(),
        "root.webp": picture(4),
        "wild/README.txt": b"no medium of this name",
        "wild/.hidden.png": picture(5),
        ".cache/6.png": picture(6),
        "wild/model.pkl": b"pickle",
    }
    for name, data in files.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return str(tmp_path / "photos")


def test_samples_and_their_fields(photos):
    source = open_source(photos)
    found = {source[i]["__key__"]: source[i] for i in range(len(source))}
    assert list(found) == ["root", "tabby_cat/1", "tabby_cat/2", "wild/dog/3.v2"]
    assert found["tabby_cat/1"] == {
        "__key__": "tabby_cat/1",
        "__url__": f"{photos}/tabby_cat/1",
        "png": picture(1),
        "json": {"class": "tabby cat", "folder": "tabby_cat", "name": "1", "txt": "tabby cat"},
    }
    assert found["tabby_cat/2"]["jpg"] == picture(2)
    assert text_fields(found["tabby_cat/2"])["txt"] == b"a cat on a mat"
    dog = found["wild/dog/3.v2"]
    assert dog["flac"] == b"fLaC" and dog["json"] == {
        "class": "hound", "folder": "wild/dog", "name": "3.v2", "txt": "dog", "mood": "glad"
    }  # fmt: skip
    assert "txt" not in found["root"]["json"]
    assert [source.members(i) for i in range(4)] == [
        ("webp", "json"), ("png", "json"), ("jpg", "json"), ("flac", "png", "json")
    ]  # fmt: skip
    assert source.nbytes == sum(len(picture(n)) for n in (1, 2, 3, 4)) + 4 + 14 + len(
        json.dumps({"mood": "glad", "class": "hound"})
    )
    assert pickle.loads(pickle.dumps(source))[2] == source[2]


def test_the_index_follows_the_folders(photos, monkeypatch):
    first = open_source(photos)
    assert os.path.exists(photos + SUFFIX)
    with monkeypatch.context() as patch:
        patch.setattr(folder, "build_index", None)
        assert open_source(f"folder:{photos}").fingerprint() == first.fingerprint()
    with open(f"{photos}/wild/dog/4.png", "wb") as file:
        file.write(picture(4))
    assert len(open_source(photos)) == 5 and open_source(photos).fingerprint() != first.fingerprint()
    os.remove(f"{photos}/tabby_cat/1.png")
    assert len(open_source(photos)) == 4
    with pytest.raises(Unreadable, match="file cannot be read"):
        first[1]


def test_a_broken_sidecar_is_one_unreadable_sample(photos):
    with open(f"{photos}/tabby_cat/1.json", "w") as file:
        file.write("[1]")
    source = open_source(photos)
    with pytest.raises(Unreadable, match="no JSON object"):
        source[1]
    assert source[2]["__key__"] == "tabby_cat/2"


def test_names_that_are_not_utf_8(tmp_path):
    os.makedirs(tmp_path / "x")
    with open(os.fsencode(tmp_path) + b"/x/caf\xe9.png", "wb") as file:
        file.write(picture(1))
    source = open_source(str(tmp_path))
    assert source[0]["png"] == picture(1) and source.fingerprint()


def test_folders_without_media(tmp_path):
    with pytest.raises(UserError, match="no pictures"):
        open_source(str(tmp_path))
    with pytest.raises(UserError, match="no such folder"):
        open_source(f"folder:{tmp_path}/none")


def test_training_batches_of_classes(photos, tmp_path):
    os.remove(f"{photos}/root.webp")
    data = settings(photos, write_tokenizer(tmp_path / "t.json"), captions=(("a {class}", 1.0),), augment={})
    batch = TrainPipeline(data, ("image", "text"), 0, 3).batch(0)
    assert sorted(batch["image"][:, 4, 4, 0]) == [1, 2, 3]
    assert set(batch["text"][:, 1]) == {4}  # "a"
