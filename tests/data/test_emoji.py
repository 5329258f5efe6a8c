"""The emoji that ship: what each split holds, that nothing of a test is trained, and how families are told apart."""

import hashlib
import io
import json
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer

from mmjax.data.emoji import FOLDER, LANGUAGES, SPLITS, STYLES, shard
from mmjax.data.emoji.build import PACKAGES, key_of, styles_in, webp_on_white, write_tar
from mmjax.data.emoji.splits import assign, family
from mmjax.errors import UserError


@cache
def members(split):
    """{key: {"json": dict, style: bytes of the WebP}} of a split."""
    samples = {}
    with tarfile.open(shard(split)) as archive:
        for member in archive:
            key, _, ending = member.name.partition(".")
            data = archive.extractfile(member).read()
            name = ending.removesuffix(".webp")
            samples.setdefault(key, {})[name] = json.loads(data) if name == "json" else data
    return samples


def labels(split):
    return [sample["json"]["label"]["en"] for sample in members(split).values()]


@pytest.mark.parametrize(
    ("split", "concepts", "images"),
    [
        ("train", 1304, 3449),
        ("style", 373, 373),
        ("unseen", 217, 651),
        ("validation-style", 90, 90),
        ("validation-unseen", 78, 234),
    ],
)
def test_counts(split, concepts, images):
    assert len(members(split)) == concepts
    assert sum(len(sample) - 1 for sample in members(split).values()) == images


def test_every_concept_is_trained_or_unseen():
    unseen = members("unseen").keys() | members("validation-unseen").keys()
    assert len(unseen) == 217 + 78
    assert not unseen & members("train").keys()
    assert len(unseen | members("train").keys()) == 1599


@pytest.mark.parametrize("split", ["unseen", "validation-unseen"])
def test_no_family_of_an_unseen_concept_is_elsewhere(split):
    here = {family(label) for label in labels(split)}
    elsewhere = {family(label) for other in SPLITS if other != split for label in labels(other)}
    assert not here & elsewhere


def test_style_and_validation_share_no_family():
    assert not {family(label) for label in labels("style")} & {family(label) for label in labels("validation-style")}


def test_held_out_fluent_pictures_are_not_trained():
    trained = {sample["fluent"] for sample in members("train").values() if "fluent" in sample}
    for split in SPLITS[1:]:
        assert all(sample["fluent"] not in trained for sample in members(split).values())
    for split in ("style", "validation-style"):
        for key, sample in members(split).items():
            assert set(sample) == {"json", "fluent"}
            assert set(members("train")[key]) == {"json", "noto", "twemoji"}


def test_no_unseen_picture_is_nearly_a_trained_one():
    """Root-mean-square difference over pixels in [0, 1], compared within a style."""
    for style in STYLES:
        trained, unseen = (pixels(split, style) for split in ("train", "unseen"))
        squares = (unseen**2).mean(1)[:, None] + (trained**2).mean(1)[None, :]
        distance = np.sqrt(np.maximum(squares - 2 * unseen @ trained.T / trained.shape[1], 0))
        assert distance.min() > 0.045


@cache
def pixels(split, style):
    pictures = [decode(sample[style]) for sample in members(split).values() if style in sample]
    return np.stack(pictures).reshape(len(pictures), -1).astype(np.float32) / 255


def decode(data):
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("split", SPLITS)
def test_pictures_decode(split):
    for sample in members(split).values():
        for style in set(sample) - {"json"}:
            picture = decode(sample[style])
            assert picture.shape == (64, 64, 3)
            assert picture[0, 0].min() < 255 or picture.mean() > 20


@pytest.mark.parametrize("split", SPLITS)
def test_every_language_is_filled(split):
    assert len(LANGUAGES) == 28
    for sample in members(split).values():
        text = sample["json"]
        assert set(text) == {"label", "tags", "group", "subgroup"}
        assert tuple(text["label"]) == tuple(text["tags"]) == LANGUAGES
        assert all(text["label"].values())
        assert all(text["tags"].values())


def test_labels_are_distinct_in_each_language():
    text = {key: sample["json"]["label"] for split in SPLITS for key, sample in members(split).items()}
    for language in LANGUAGES:
        assert len({label[language] for label in text.values()}) == 1599


@pytest.mark.parametrize(
    "siblings",
    [
        ("man running", "woman running", "person running"),
        ("health worker", "man health worker", "woman health worker"),
        ("merman", "mermaid", "merperson"),
        ("old man", "older person", "woman: beard", "man: red hair", "girl"),
        ("kiss", "kiss: woman, man", "couple with heart: man, man", "women holding hands"),
        ("woman and man holding hands", "people holding hands"),
        ("family", "family: man, woman, girl, boy"),
        ("keycap: 3", "keycap: #"),
        ("Santa Claus", "Mrs. Claus", "Mx Claus"),
        ("man’s room", "women’s room", "restroom"),
        ("breast-feeding", "man feeding baby"),
        ("left-facing fist", "right-facing fist"),
        ("magnifying glass tilted left", "magnifying glass tilted right"),
    ],
)
def test_siblings_are_one_family(siblings):
    assert len({family(label) for label in siblings}) == 1


@pytest.mark.parametrize(
    "others",
    [
        ("one o’clock", "two o’clock", "one-thirty"),
        ("man running", "running shirt", "man walking"),
        ("red heart", "blue heart"),
        ("cat", "cat face"),
        ("mermaid", "maid"),
        ("woman’s hat", "woman’s boot"),
        ("up arrow", "down arrow"),
    ],
)
def test_different_concepts_are_different_families(others):
    assert len({family(label) for label in others}) == len(others)


def test_assign_keeps_families_together_and_trains_the_large_ones():
    running = ["man running", "woman running", "person running"]
    keycaps = [f"keycap: {i}" for i in range(9)]
    splits = assign([*running, *keycaps])
    assert len(set(splits[:3])) == 1
    assert set(splits[3:]) == {"train"}


def test_assign_gives_the_stated_shares():
    splits = assign([f"thing{i}" for i in range(20000)])
    for split, share in {"unseen": 0.15, "style": 0.25, "validation-unseen": 0.05, "validation-style": 0.06}.items():
        assert splits.count(split) / 20000 == pytest.approx(share, abs=0.01)


def test_key_of():
    assert key_of("0023-FE0F-20E3") == "23-20e3"
    assert key_of("1F3C3-200D-2642-FE0F") == "1f3c3-200d-2642"


def test_styles_in():
    assert styles_in("train", "train") == STYLES
    assert styles_in("train", "style") == styles_in("train", "validation-style") == ("noto", "twemoji")
    assert styles_in("style", "style") == ("fluent",)
    assert styles_in("train", "unseen") == styles_in("unseen", "train") == styles_in("style", "train") == ()
    assert styles_in("unseen", "unseen") == STYLES


def test_webp_on_white_pads_and_flattens():
    """A half-transparent black strip: grey in the middle, white above and below."""
    strip = Image.new("RGBA", (256, 128), (0, 0, 0, 128))
    picture = decode(webp_on_white(strip)).astype(int)
    assert picture.shape == (64, 64, 3)
    assert abs(picture[32] - 127).max() < 6
    assert picture[4].min() > 249
    assert picture[60].min() > 249


def test_tar_bytes_depend_on_the_samples_alone(tmp_path):
    from mmjax.data.emoji.build import Concept

    first, second = (Concept(key, key, {"label": {"en": "ü"}}, {"noto": b"picture"}) for key in ("a", "b"))
    write_tar(str(tmp_path / "1.tar"), [(first, ("noto",)), (second, ())])
    write_tar(str(tmp_path / "2.tar"), [(second, ()), (first, ("noto",))])
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    with tarfile.open(tmp_path / "1.tar") as archive:
        assert archive.getnames() == ["a.json", "a.noto.webp", "b.json"]
        assert json.loads(archive.extractfile("a.json").read()) == {"label": {"en": "ü"}}


@pytest.mark.parametrize(("name", "pieces"), [("tokenizer.json", 2048), ("tokenizer-multilingual.json", 4096)])
def test_tokenizers(name, pieces):
    tokenizer = Tokenizer.from_file(str(FOLDER / name))
    assert tokenizer.get_vocab_size() == pieces
    assert tokenizer.token_to_id("<pad>") == 0
    assert tokenizer.token_to_id("<eot>") == 1
    for text in ("grinning face with big eyes", "ein „Gesicht“: ½", "絵文字 и 🙂"):
        ids = tokenizer.encode(text).ids
        assert ids[-1] == 1
        assert 0 not in ids
        assert tokenizer.decode(ids[:-1]).strip() == tokenizer.normalizer.normalize_str(text)
    assert tokenizer.encode("Red Heart").ids == tokenizer.encode("red heart").ids


def test_tokenizer_knows_words_of_trained_captions():
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    lengths = [len(tokenizer.encode(label).ids) - 1 for label in labels("train")]
    assert np.mean(lengths) < 4


def test_unknown_split():
    with pytest.raises(UserError, match="no emoji split 'test'.*\n.*validation-unseen"):
        shard("test")


def test_missing_package(tmp_path):
    from mmjax.data.emoji.build import read_package

    with pytest.raises(UserError, match=PACKAGES["noto"]):
        read_package(tmp_path, "noto")


def test_licences_travel_with_the_data():
    notice = (Path(__file__).parents[2] / "NOTICE").read_text()
    for words in ("Noto Emoji", "Fluent Emoji", "Twemoji", "emojibase-data", "CC BY 4.0"):
        assert words in notice
    assert len(list((FOLDER / "licenses").glob("*.txt"))) == 4


def test_the_ridge_baseline_belongs_to_these_tars():
    baseline = json.loads((FOLDER / "ridge.json").read_text())
    digests = {split: hashlib.sha256(Path(shard(split)).read_bytes()).hexdigest() for split in SPLITS}
    assert baseline["data_sha256"] == digests
    for split in ("style", "unseen"):
        for name, value in baseline["all_styles"]["test"][split].items():
            assert baseline["chance"][split][name] < value < 1
