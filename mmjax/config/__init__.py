"""Every key of an experiment, its default and its meaning; strict loading; validation.

A config file defines `get_config(arg="")`, which starts from `default()` and changes what it needs:

    from mmjax import config as c

    def get_config(arg=""):
        config = c.default()
        config.duration = "20 epochs"
        config.towers.image = c.tower("vit", "B/16", image_size=224)
        return config

Unknown keys and wrong types are errors in the file, on the command line and inside every named entry.
"""

from ml_collections import ConfigDict

from mmjax.config.check import check_features, validate
from mmjax.config.entries import (
    audio_augment,
    augment,
    evaluation,
    grid,
    head,
    objective,
    option_fields,
    options_of,
    part,
    stream,
    sweep,
    teacher,
    tower,
)
from mmjax.config.keys import KEYS, OPEN_SECTIONS, Key, default
from mmjax.config.reference import field_meanings, markdown
from mmjax.config.values import FREE_ON_RESUME, differences, flatten, from_json, lookup, to_json

__all__ = [
    "ConfigDict",
    "FREE_ON_RESUME",
    "KEYS",
    "Key",
    "OPEN_SECTIONS",
    "audio_augment",
    "augment",
    "check_features",
    "default",
    "differences",
    "evaluation",
    "field_meanings",
    "flatten",
    "from_json",
    "grid",
    "head",
    "lookup",
    "markdown",
    "objective",
    "option_fields",
    "options_of",
    "part",
    "stream",
    "sweep",
    "teacher",
    "to_json",
    "tower",
    "validate",
]
