"""Captions from a sample's text and JSON members by weighted templates such as "{label}, {tags}"."""

import json
from string import Formatter

import numpy as np

from mmjax.data.unreadable import Lacking, Unreadable

TEXTS = ("txt", "text", "caption", "cls")
# Far beyond any context length, so that a megabyte of junk does not hold up the tokenizer.
MOST_CHARACTERS = 16384
MOST_DRAWN = 4
ONE = "one"


def text_fields(raw: dict) -> dict:
    """What templates can name: the keys of every `.json` member, and each text member by its extension (`txt`).

    Raises:
        Unreadable: a JSON member that is no JSON object.
    """
    fields = {}
    for name, data in raw.items():
        if name.split(".")[-1] == "json":
            try:
                fields |= json.loads(data)
            except (ValueError, TypeError, RecursionError) as error:
                raise Unreadable("json member is no JSON object", f"{name}: {error}") from error
    return fields | {name: data for name, data in raw.items() if name.split(".")[-1] in TEXTS}


def draw_caption(fields: dict, templates, languages, rng: np.random.Generator) -> str:
    """A training caption.

    Args:
        fields: of `text_fields`.
        templates: (template, weight) pairs. In a template, `{name}` is a field; of a list it is 1 to 4 random items
            joined by commas, and `{name:one}` is one random item. Of a field by language it is the drawn language's.
        languages: of which one is drawn.
        rng: the generator of this row.

    Raises:
        Lacking: a field is missing, or the caption is empty.
    """
    weights = np.cumsum([weight for _, weight in templates])
    template = templates[int(np.searchsorted(weights, rng.random() * weights[-1], side="right"))][0]
    language = languages[int(rng.integers(len(languages)))] if len(languages) > 1 else "".join(languages)

    def some(items, one):
        count = 1 if one else int(rng.integers(1, min(MOST_DRAWN, len(items)) + 1))
        return ", ".join(str(items[i]) for i in rng.choice(len(items), count, replace=False))

    return _fill(template, fields, language, some)


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
