"""Simple baselines measured on the data that ships, to stand beside a model's numbers."""

import json
from pathlib import Path

from mmjax.data import emoji

RIDGE = Path(emoji.__file__).with_name("ridge.json")


def baselines(evaluations) -> dict[str, dict[str, float]]:
    """Baseline name -> metrics "val/<evaluation>/<metric>" for the retrieval evaluations that they were measured on.

    The numbers come from `benchmarks/emoji_ridge.py`, which writes them beside the data.

    Args:
        evaluations: name -> evaluation of a config.
    """
    if not RIDGE.exists():
        return {}
    return {}
