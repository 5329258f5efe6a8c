"""Captions from a sample's text and JSON members by weighted templates such as "{label}, {tags}"."""

import json
import re
from string import Formatter

import numpy as np

from mmjax.data.unreadable import Lacking, Unreadable
from mmjax.errors import UserError

TEXTS = ("txt", "text", "caption", "cls")
# Far beyond any context length, so that a megabyte of junk does not hold up the tokenizer.
MOST_CHARACTERS = 16384
MOST_DRAWN = 4
ONE = "one"
HOW = "write {name} for a field, {name:one} for one item of a list, and {{ for a brace"
# Where a sentence ends; Chinese and Japanese put no space after it.
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\s*\n\s*")


def text_fields(raw: dict) -> dict:
    """What templates can name: the keys of every `json` member, and each text member by its extension (`txt`).

    A `json` member is the bytes of a JSON object, or a dict where the source has parsed it.

    Raises:
        Unreadable: a JSON member that is no JSON object.
    """
    fields = {}
    for name, data in raw.items():
        if name.split(".")[-1] == "json":
            fields |= data if isinstance(data, dict) else _json_object(name, data)
    return fields | {name: data for name, data in raw.items() if name.split(".")[-1] in TEXTS}


def _json_object(name, data) -> dict:
    try:
        return {} | json.loads(data)
    except (ValueError, TypeError, RecursionError) as error:
        raise Unreadable("json member is no JSON object", f"{name}: {error}") from error


def check_template(template: str, where: str) -> None:
    """Raise `UserError` unless a template can be filled: braces that close, names in them, and no option but `:one`."""
    try:
        parts = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise UserError(f"the template {template!r} is none: {error}", where=where, remedy=HOW) from error
    for name, how, conversion in parts:
        if not name or how not in ("", ONE) or conversion:
            raise UserError(f"the template {template!r} cannot be filled", where=where, remedy=HOW)


def draw_caption(fields: dict, templates, languages, rng: np.random.Generator) -> str:
    """A training caption.

    Args:
        fields: of `text_fields`.
        templates: (template, weight) pairs. In a template, `{name}` is a field; of a list it is 1 to 4 random items
            joined by commas, and `{name:one}` is one random item. Of a field by language it is the drawn language's.
        languages: of which one is drawn, among those that the template's fields by language have, if any.
        rng: the generator of this row.

    Raises:
        Lacking: a field is missing, or the caption is empty.
    """
    weights = np.cumsum([weight for _, weight in templates])
    template = templates[int(np.searchsorted(weights, rng.random() * weights[-1], side="right"))][0]
    if len(languages) > 1:
        languages = languages_there(fields, template, languages)
    language = languages[int(rng.integers(len(languages)))] if len(languages) > 1 else "".join(languages)

    def some(items, one):
        count = 1 if one else int(rng.integers(1, min(MOST_DRAWN, len(items)) + 1))
        return ", ".join(str(items[i]) for i in rng.choice(len(items), count, replace=False))

    return _fill(template, fields, language, some)


def languages_there(fields: dict, template: str, languages):
    """The languages in which all the template's fields are there; all of them if there is no such language."""
    named = [fields.get(name) for _, name, _, _ in Formatter().parse(template) if name is not None]
    by_language = [value for value in named if isinstance(value, dict)]
    return [language for language in languages if all(value.get(language) for value in by_language)] or languages


def some_sentences(caption: str, count: int, rng: np.random.Generator) -> str:
    """`count` random sentences of a caption, in their order; all of it if it has no more.

    Sub-captions of long captions are what DreamLIP trains on (Zheng et al. 2024, arXiv 2403.17007, section 3.2).
    """
    sentences = [sentence for sentence in SENTENCE_END.split(caption) if sentence]
    if len(sentences) <= count:
        return caption
    return " ".join(sentences[i] for i in np.sort(rng.choice(len(sentences), count, replace=False)))


def all_captions(fields: dict, template: str, language: str = "") -> list[str]:
    """The evaluation captions of a sample: lists whole, and for `{name:one}` one caption for each item.

    Raises:
        Lacking: a field is missing, or a caption is empty.
    """
    values = [_value(fields, name, language) for _, name, how, _ in Formatter().parse(template) if how == ONE]
    counts = [len(value) for value in values if isinstance(value, list)]

    def take(number):
        return lambda items, one: str(items[number]) if one else ", ".join(map(str, items))

    return [_fill(template, fields, language, take(number)) for number in range(min(counts, default=1))]


def _fill(template, fields, language, choose) -> str:
    parts = []
    for literal, name, how, _ in Formatter().parse(template):
        parts.append(literal)
        if name is not None:
            value = _value(fields, name, language)
            parts.append(choose(value, how == ONE) if isinstance(value, list) else str(value))
    caption = "".join(parts).strip()[:MOST_CHARACTERS]
    if not caption:
        raise Lacking("caption is empty", template)
    return caption


def _value(fields, name, language):
    value = fields.get(name)
    if isinstance(value, dict):
        value = value.get(language)
        name = f"{name} in language {language!r}"
    if value is None or value == []:
        raise Lacking(f"no caption field {name}")
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise Unreadable("caption is not UTF-8", str(error)) from error
    if isinstance(value, str) and not (value := value.strip()):
        raise Lacking("caption is empty", name)
    return value
