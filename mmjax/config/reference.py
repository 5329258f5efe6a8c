"""The reference of all keys and options, which docs/config.md shows."""

import dataclasses
import inspect
import re
from collections.abc import Mapping

from mmjax.config.entries import option_fields
from mmjax.config.keys import KEYS, OPEN_SECTIONS, Key, leaves


def markdown() -> str:
    """The reference of all keys, as docs/config.md shows it."""
    lines = ["# Every config key", "", "Written by `python -m mmjax.config`.", ""]
    lines += ["| key | default | meaning |", "|---|---|---|"]
    lines += [f"| `{path}` | `{key.default!r}` | {_cell(key)} |" for path, key in leaves(KEYS)]
    lines += ["", "Open sections take named entries:", "", "| section | entries |", "|---|---|"]
    lines += [f"| `{path}` | {meaning} |" for path, meaning in OPEN_SECTIONS.items()]
    for title, registry in registries().items():
        for kind, cls in registry.items():
            lines += ["", f"## {title} `{kind}`", "", "| option | default | meaning |", "|---|---|---|"]
            meanings = field_meanings(cls)
            lines += [f"| `{f.name}` | `{_default(f)!r}` | {meanings[f.name]} |" for f in option_fields(cls)]
    return "\n".join(lines).replace("|'", "\\|'") + "\n"


def field_meanings(cls: type) -> dict[str, str]:
    """Field -> meaning, from the `Attributes:` section of a class's docstring, and of its bases' for their fields."""
    options, meanings = {field.name for field in option_fields(cls)}, {}
    for base in reversed(cls.__mro__):
        section = re.split(r"\n\s*Attributes:\s*\n", inspect.cleandoc(vars(base).get("__doc__") or ""))[-1]
        found = re.finditer(r"^  +(\w+): (.+(?:\n {6,}.+)*)", section, re.M)
        meanings |= {m[1]: " ".join(m[2].split()) for m in found if base is cls or m[1] in options}
    return meanings


def _cell(key: Key) -> str:
    return key.meaning + (f" ({', '.join(key.choices)})" if key.choices else "")


def _default(field: dataclasses.Field):
    return "required" if field.default is dataclasses.MISSING else field.default


def registries() -> dict[str, Mapping]:
    """What an entry is called -> its kinds, each with the class behind it."""
    from mmjax.data.augments import AUGMENTS
    from mmjax.data.augments.sounds import AUDIO_AUGMENTS
    from mmjax.data.mixture import Part
    from mmjax.data.streams import STREAMS
    from mmjax.encoders import ENCODERS
    from mmjax.evaluation.kinds import EVALUATIONS
    from mmjax.heads import HEADS
    from mmjax.objectives import OBJECTIVES
    from mmjax.teachers import TEACHERS

    return {
        "Tower": ENCODERS,
        "Head": HEADS,
        "Teacher": TEACHERS,
        "Objective": OBJECTIVES,
        "Evaluation": EVALUATIONS,
        "Stream": STREAMS,
        "Mixture": {"part": Part},
        "Augmentation": AUGMENTS,
        "Augmentation of sound": AUDIO_AUGMENTS,
    }
