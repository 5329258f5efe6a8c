"""Results in the schema of CLIP_benchmark, so that they stand in one table with those of released models."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mmjax.evaluation.choice import CaptionChoice
from mmjax.evaluation.kinds import LinearProbe, Retrieval, ZeroShot
from mmjax.evaluation.names import side_names


def clip_benchmark_records(
    evaluations: Mapping, metrics: Mapping[str, float], *, model: str, pretrained: str
) -> list[dict]:
    """One record {"dataset", "model", "pretrained", "task", "metrics", "language"} for each evaluation they have too.

    Those are zero-shot classification and retrieval of pictures and captions, linear probes, and the choice between
    captions; all metrics of others keep mmjax's names and are left out here. Definitions are the same, but for equal
    scores: among them CLIP_benchmark takes whichever torch puts first.

    Args:
        evaluations: name -> evaluation, of `mmjax.evaluation.kinds.build_evaluations`.
        metrics: "val/<name>/<metric>" -> value.
        model: name of the model, such as that of its workdir.
        pretrained: what its weights are, such as "step 2000".
    """
    records = []
    for name, evaluation in evaluations.items():
        task, translated = _translate(evaluation)
        found = {theirs: metrics.get(f"val/{name}/{ours}") for ours, theirs in translated.items()}
        found = {metric: value for metric, value in found.items() if value is not None}
        if found:
            about = {"dataset": evaluation.source, "model": model, "pretrained": pretrained, "task": task}
            language = getattr(evaluation, "language", "") or "en"
            records.append(about | {"metrics": found, "language": language})
    return records


def write_records(records: Iterable[dict], folder: str | Path) -> list[Path]:
    """Write each record as {dataset}_{pretrained}_{model}_{language}_{task}.json, CLIP_benchmark's names."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for record in records:
        parts = (record[key] for key in ("dataset", "pretrained", "model", "language", "task"))
        paths.append(folder / ("_".join(re.sub(r"[^\w.=,-]+", "-", part).strip("-") for part in parts) + ".json"))
        paths[-1].write_text(json.dumps(record))
    return paths


def _translate(evaluation) -> tuple[str, dict[str, str]]:
    """The task, and name here -> name there of its metrics; none for what CLIP_benchmark does not measure."""
    if side_names(getattr(evaluation, "streams", ())) not in (("image", "text"), ("image",)):
        return "", {}
    if isinstance(evaluation, Retrieval):
        return "zeroshot_retrieval", {
            f"{direction}_R@{k}": f"{answer}_retrieval_recall@{k}"
            for direction, answer in (("image_to_text", "text"), ("text_to_image", "image"))
            for k in (1, 5, 10)
        }
    if isinstance(evaluation, ZeroShot):
        return "zeroshot_classification", {name: name for name in ("acc1", "acc5", "mean_per_class_recall")}
    if isinstance(evaluation, LinearProbe):
        return "linear_probe", {name: f"lp_{name}" for name in ("acc1", "acc5", "mean_per_class_recall")}
    if isinstance(evaluation, CaptionChoice):
        return "image_caption_selection", {"accuracy": "acc"}
    return "", {}
