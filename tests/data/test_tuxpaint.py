"""Tux Paint's stamps, from a small tree made up after the package's: members, languages, and splits without leaks."""

import io
from collections import Counter

import pytest
from PIL import Image
from shards import picture

from mmjax.data.sources import open_source, tuxpaint
from mmjax.data.sources.tuxpaint import DPI, TuxpaintSource, draw_svg
from mmjax.data.sources.tuxpaint_splits import SPLITS, assign_splits, group_of
from mmjax.data.sources.tuxpaint_stamps import StampFiles, find_stamps, language_code, read_captions
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="2cm" height="1cm">'
    b'<rect width="2cm" height="1cm" fill="red"/></svg>'
)
OWL = "An owl.\nde.utf8=Eine Eule.\npt_BR.utf8=Uma coruja.\nsr@latin.utf8=Sova.\nfr.utf8=\nnot a caption\n"
FILES = {
    "animals/birds/owl.png": picture(1),
    "animals/birds/owl.svg": SVG,
    "animals/birds/owl.txt": OWL.encode(),
    "animals/birds/owl.dat": b"scale 50%",
    "animals/birds/owl.ogg": b"hoo",
    "animals/birds/owl_desc.ogg": b"an owl",
    "animals/birds/owl_desc_fr.ogg": b"une chouette",
    "animals/birds/owl_desc_pt_BR.wav": b"uma coruja",
    "animals/birds/owl_mirror.png": picture(2),
    "animals/birds/lone_flip.png": picture(3),
    "animals/birds/nobody.ogg": b"no stamp of that name",
    "animals/birds/nobody_desc_fr.ogg": b"nor of this",
    "symbols/math/7.png": picture(7),
    "symbols/math/7.txt": b"Seven.",
    "symbols/math/7_zh_tw.ogg": b"qi",
    "symbols/clock.svg": SVG,
    "symbols/clock.txt": b"A clock.\nfr.utf8=Une horloge = une pendule.\n",
    "symbols/alphabets/english/A.png": picture(8),
    "symbols/alphabets/english/A.txt": b"A",
    "people/nameless.png": picture(9),
}


def write_tree(root, files):
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "stamps", FILES)


@pytest.fixture
def by_key(tree):
    source = open_source(f"tuxpaint:all,path={tree}")
    return {source[i]["__key__"]: source[i] for i in range(len(source))}


def test_members_and_captions(by_key, tree):
    owl = by_key["animals/birds/owl"]
    names = {"json", "png", "sound.ogg", "desc.en.ogg", "desc.fr.ogg", "desc.pt-br.wav"}
    assert set(owl) == {"__key__", "__url__"} | names and owl["__url__"] == str(tree)
    assert owl["png"] == FILES["animals/birds/owl.png"] and owl["sound.ogg"] == b"hoo"
    assert (owl["desc.en.ogg"], owl["desc.fr.ogg"], owl["desc.pt-br.wav"]) == (
        b"an owl",
        b"une chouette",
        b"uma coruja",
    )
    assert owl["json"] == {
        "text": {"en": "An owl.", "de": "Eine Eule.", "pt-br": "Uma coruja.", "sr-latin": "Sova."},
        "category": "animals",
        "folder": "animals/birds",
    }
    assert by_key["symbols/math/7"]["sound.zh-tw.ogg"] == b"qi"
    assert by_key["symbols/clock"]["json"]["text"]["fr"] == "Une horloge = une pendule."
    assert by_key["people/nameless"]["json"]["text"] == {}


def test_which_stamps_there_are(by_key):
    expected = {"animals/birds/owl", "animals/birds/lone_flip", "symbols/math/7", "symbols/clock", "people/nameless"}
    assert set(by_key) == expected, "no mirror images, no letters, no sounds without a stamp"


def test_letters_on_demand(tree, by_key):
    source = TuxpaintSource(f"all,letters=yes,path={tree}")
    assert {source[i]["__key__"] for i in range(len(source))} == set(by_key) | {"symbols/alphabets/english/A"}


def test_speech_in_some_languages_only(tree):
    whole, some = (TuxpaintSource(f"all,path={tree}{speech}") for speech in ("", ",speech=fr+ru"))
    names = {name for i in range(len(some)) for name in some.members(i)}
    assert names == {"json", "png", "sound.ogg", "sound.zh-tw.ogg", "desc.fr.ogg"}
    assert whole.nbytes - some.nbytes == len(b"an owl") + len(b"uma coruja")
    assert whole.fingerprint() != some.fingerprint()


def test_members_are_listed_as_they_are_read(tree):
    source = TuxpaintSource(f"all,path={tree}")
    for i in range(len(source)):
        assert ("__key__", "__url__", *source.members(i)) == tuple(source[i]) and source.url(i) == str(tree)
    assert source.member_counts() == {"json, png": 3, "json, png, sound": 1, "json, png, sound, desc": 1}
    with pytest.raises(UserError, match="no vectors"):
        source.width("vector")


def test_an_svg_is_drawn_in_a_bounded_size(by_key):
    image = Image.open(io.BytesIO(by_key["symbols/clock"]["png"]))
    assert image.size == (256, 128) and image.convert("RGB").getpixel((128, 64)) == (255, 0, 0)
    tall = draw_svg(SVG.replace(b'height="1cm"', b'height="900cm"', 1))
    assert max(Image.open(io.BytesIO(tall)).size) == 256 and DPI == 96
    with pytest.raises(Unreadable, match="svg cannot be drawn"):
        draw_svg(b"<svg")


def test_without_resvg_such_pictures_are_missing_and_named(tree, monkeypatch):
    whole = TuxpaintSource(f"all,path={tree}")
    assert whole.undrawn == []
    monkeypatch.setattr(tuxpaint, "find_spec", lambda name: None)
    source = TuxpaintSource(f"all,path={tree}")
    assert source.undrawn == ["symbols/clock"] and len(source) == len(whole)
    clock = next(source[i] for i in range(len(source)) if source[i]["__key__"] == "symbols/clock")
    assert "png" not in clock and clock["json"]["text"]["en"] == "A clock."
    assert source.fingerprint() != whole.fingerprint()


def test_a_file_that_goes_missing_is_a_fault(tree):
    source = TuxpaintSource(f"all,path={tree}")
    (tree / "animals/birds/owl.ogg").unlink()
    owl = next(i for i in range(len(source)) if "sound.ogg" in source.members(i))
    with pytest.raises(Unreadable, match="file cannot be read"):
        source[owl]


def test_the_fingerprint_follows_captions_and_files(tree):
    before = TuxpaintSource(f"all,path={tree}").fingerprint()
    assert TuxpaintSource(f"all,path={tree}").fingerprint() == before
    (tree / "symbols/math/7.txt").write_bytes(b"Number seven.")
    assert TuxpaintSource(f"all,path={tree}").fingerprint() != before


def test_what_is_no_tree_of_stamps(tmp_path, tree):
    with pytest.raises(UserError, match="no Tux Paint stamps there") as error:
        open_source(f"tuxpaint:train,path={tmp_path / 'elsewhere'}")
    assert "tuxpaint-stamps-default" in error.value.remedy
    with pytest.raises(UserError, match="no split 'dev'"):
        open_source(f"tuxpaint:dev,path={tree}")
    with pytest.raises(UserError, match="no letters 'maybe'"):
        open_source(f"tuxpaint:train,letters=maybe,path={tree}")


def test_captions_of_odd_files(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\nde.utf8=Ja\r\n")
    assert read_captions(tmp_path / "a.txt") == {}
    assert read_captions(tmp_path / "b.txt")["de"] == "Ja"
    assert language_code("ca@valencia") == "ca-valencia"


def stamps(captions):
    return [StampFiles(name, {"en": caption} if caption else {}, {}) for name, caption in sorted(captions.items())]


def many(count=600):
    """Stamps of three categories, of which every fifth repeats the caption of the one before, in other words' dress."""
    names = {}
    for n in range(count):
        category = ("animals", "food", "symbols/alphabets")[n % 3]
        names[f"{category}/sub{n % 7}/stamp{n:03d}"] = f"A THING, {n - 3}!" if n % 5 == 3 and n > 3 else f"A thing {n}."
    return stamps(names)


def test_no_group_of_captions_is_parted():
    found = many()
    splits = assign_splits(found)
    groups = {}
    for stamp in found:
        groups.setdefault(group_of(stamp), set()).add(splits[stamp.name])
    assert all(len(of_group) == 1 for of_group in groups.values())
    assert len(groups) < len(found) and set(splits.values()) == set(SPLITS)


def test_every_category_has_its_share_of_every_split():
    found = many()
    splits = assign_splits(found)
    for category in ("animals", "food", "alphabets"):
        counts = Counter(splits[stamp.name] for stamp in found if stamp.category == category)
        assert abs(counts["test"] / 200 - 0.2) < 0.05 and abs(counts["validation"] / 200 - 0.08) < 0.04


def test_splits_depend_on_captions_and_nothing_else():
    found = many()
    splits = assign_splits(found)
    letters = [stamp for stamp in found if stamp.category == "alphabets"]
    assert {s.name: splits[s.name] for s in letters} == assign_splits(letters), "categories do not touch one another"


def test_stamps_without_a_caption_are_groups_of_their_own():
    found = stamps({"a/x": "", "a/y": "", "a/z": "Same", "b/z": "same."})
    assert len({group_of(stamp) for stamp in found}) == 3


def test_splits_of_one_source_are_disjoint_and_complete(tmp_path):
    files = {}
    for n in range(60):
        files |= {f"animals/{n:02d}.png": picture(n), f"animals/{n:02d}.txt": f"Animal {n // 2}.".encode()}
    root = write_tree(tmp_path, files)
    keys = {}
    for split in (*SPLITS, "all"):
        source = TuxpaintSource(f"{split},path={root}")
        keys[split] = [source[i]["__key__"] for i in range(len(source))]
    assert sorted(sum((keys[split] for split in SPLITS), [])) == keys["all"] and len(keys["all"]) == 60
    assert (len(keys["test"]), len(keys["validation"]), len(keys["train"])) == (12, 4, 44)
    texts = {split: {int(key.split("/")[1]) // 2 for key in keys[split]} for split in SPLITS}
    assert not texts["train"] & texts["test"] and not texts["train"] & texts["validation"]


def test_stamps_are_found_in_order(tree):
    names = [stamp.name for stamp in find_stamps(tree)]
    assert names == sorted(names)
