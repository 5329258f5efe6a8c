"""Captions: templates, languages, lists, and what is wrong with a caption."""

import json
from collections import Counter

import numpy as np
import pytest

from mmjax.data.captions import MOST_CHARACTERS, all_captions, check_template, draw_caption, text_fields
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError

EMOJI = {
    "label": {"en": "cat", "de": "Katze"},
    "tags": {"en": ["pet", "animal", "meow"], "de": ["Tier"]},
    "group": "fauna",
}
TEMPLATES = (("{label}", 0.5), ("{label}, {tags}", 0.4), ("{tags}", 0.1))


def drawn(fields, templates, languages=("en",), times=4000):
    return Counter(draw_caption(fields, templates, languages, np.random.default_rng(n)) for n in range(times))


def test_text_fields_are_json_keys_and_text_members():
    raw = {"json": json.dumps(EMOJI).encode(), "txt": b"hello", "noto.webp": b"..."}
    assert text_fields(raw) == EMOJI | {"txt": b"hello"}


def test_templates_come_by_weight():
    counts = drawn(EMOJI, TEMPLATES)
    assert counts["cat"] / 4000 == pytest.approx(0.5, abs=0.03)
    with_label = sum(n for caption, n in counts.items() if caption.startswith("cat, "))
    assert with_label / 4000 == pytest.approx(0.4, abs=0.03)


def test_lists_give_one_to_four_different_items():
    items = [f"t{n}" for n in range(9)]
    counts = drawn({"tags": items}, (("{tags}", 1.0),))
    subsets = [caption.split(", ") for caption in counts]
    assert {len(subset) for subset in subsets} == {1, 2, 3, 4}
    assert all(len(set(subset)) == len(subset) for subset in subsets)
    assert {item for subset in subsets for item in subset} == set(items)


def test_languages_are_drawn_evenly_and_once_a_caption():
    counts = drawn(EMOJI, (("{label}: {tags}", 1.0),), ("en", "de"), 2000)
    german = counts["Katze: Tier"]
    assert german / 2000 == pytest.approx(0.5, abs=0.05)
    assert all(caption.startswith("cat: ") for caption in counts if caption != "Katze: Tier")


def test_one_of_a_list():
    counts = drawn({"captions": ["a", "b"]}, (("{captions:one}!", 1.0),), times=400)
    assert set(counts) == {"a!", "b!"}


def test_evaluation_takes_lists_whole_or_one_by_one():
    assert all_captions(EMOJI, "{label}, {tags}", "en") == ["cat, pet, animal, meow"]
    assert all_captions(EMOJI, "{label}", "de") == ["Katze"]
    assert all_captions({"captions": ["a", "b", "c"]}, "photo of {captions:one}") == [
        "photo of a",
        "photo of b",
        "photo of c",
    ]
    assert all_captions({"text": "just one"}, "{text:one}") == ["just one"]
    assert all_captions(text_fields({"txt": " Füße \n".encode()}), "{txt}") == ["Füße"]


@pytest.mark.parametrize(
    ("fields", "template", "reason"),
    [
        ({}, "{txt}", "no caption field txt"),
        ({"txt": b"  \n"}, "{txt}", "caption is empty"),
        ({"txt": b""}, "photo of {txt}", "caption is empty"),
        ({"tags": [""]}, "{tags}", "caption is empty"),
        ({"txt": None}, "{txt}", "no caption field txt"),
        ({"txt": b"\xff\xfe"}, "{txt}", "not UTF-8"),
        ({"tags": []}, "{tags}", "no caption field tags"),
        (EMOJI, "{label}", "label in language 'xx'"),
    ],
)
def test_unusable_captions_have_a_reason(fields, template, reason):
    with pytest.raises(Unreadable, match=reason):
        all_captions(fields, template, "xx")
    with pytest.raises(Unreadable, match=reason):
        draw_caption(fields, ((template, 1.0),), ("xx",), np.random.default_rng(0))


@pytest.mark.parametrize("data", [b"{", b"[1]", b"3", b"\xff", b"[" * 100000])
def test_broken_json(data):
    with pytest.raises(Unreadable, match="json"):
        text_fields({"json": data})


def test_a_huge_caption_is_cut():
    assert len(all_captions({"txt": b"word " * 10**6}, "{txt}")[0]) <= MOST_CHARACTERS


@pytest.mark.parametrize("template", ["{txt", "txt}", "{}", "{txt:One}", "{txt:>9}", "{txt!r}"])
def test_templates_that_cannot_be_filled(template):
    with pytest.raises(UserError, match="template") as error:
        check_template(template, "config.data.captions")
    assert error.value.where == "config.data.captions" and "{name:one}" in error.value.remedy


@pytest.mark.parametrize("template", ["", "a cat", "{txt}", "{tags:one}, {captions.text}", "{{{txt}}}"])
def test_templates_that_can(template):
    check_template(template, "")
