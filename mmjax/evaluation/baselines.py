"""Simple baselines measured on the data that ships, to stand beside a model's numbers."""

import json
from pathlib import Path

from mmjax.data import emoji
from mmjax.evaluation.kinds import Retrieval

RIDGE = Path(emoji.__file__).with_name("ridge.json")


def baselines(evaluations) -> dict[str, dict[str, float]]:
    """Baseline name -> metrics "val/<evaluation>/<metric>" of English retrieval, of every style, on the emoji splits.

    "ridge" is a kernel ridge regression from 16 x 16 pixels to TF-IDF vectors of the labels, trained on the same
    pictures; `benchmarks/emoji_ridge.py` measures it and writes its numbers beside the data.

    Args:
        evaluations: name -> evaluation of a config.
    """
    measured = json.loads(RIDGE.read_text())["all_styles"]
    by_source = {f"emoji:{split}": metrics for split, metrics in measured["test"].items()} | {
        f"emoji:validation-{split}": metrics for split, metrics in measured["validation"].items()
    }
    ridge = {
        f"val/{name}/{metric}": value
        for name, e in evaluations.items()
        if isinstance(e, Retrieval)
        and e == Retrieval(e.source, captions="{label}", every=e.every)
        and e.source in by_source
        for metric, value in by_source[e.source].items()
    }
    return {"ridge": ridge} if ridge else {}
