"""Records in CLIP_benchmark's schema: which metrics, under which names, in which files; recalls by its definition."""

import json

import numpy as np
import pytest

from mmjax.evaluation.benchmark_records import clip_benchmark_records, write_records
from mmjax.evaluation.choice import CaptionChoice
from mmjax.evaluation.kinds import Gap, LinearProbe, Retrieval, ZeroShot
from mmjax.evaluation.retrieval import retrieval

METRICS = {
    "val/coco/image_to_text_R@1": 0.4,
    "val/coco/text_to_image_R@5": 0.6,
    "val/coco/text_to_image_mean_rank": 7.0,
    "val/cars/acc1": 0.3,
    "val/probe/acc1": 0.7,
    "val/gap/modality_gap": 0.2,
    "val_raw/cars/acc1": 0.1,
    "val/heard/accuracy": 0.5,
    "val/noises/acc1": 0.5,
}
EVALUATIONS = {
    "coco": Retrieval("data/coco.tar", language="de"),
    "cars": ZeroShot("data/cars.tar"),
    "probe": LinearProbe("a", "b"),
    "gap": Gap("b"),
    "sounds": Retrieval("data/clotho.tar", streams=("audio", "text")),
    "heard": CaptionChoice("data/clotho.tar", "{txt}", ("{other}",), streams=("audio", "text")),
    "noises": ZeroShot("data/esc.tar", streams=("audio", "text")),
}


def test_metrics_get_the_names_of_the_benchmark():
    records = clip_benchmark_records(EVALUATIONS, METRICS, model="my/run", pretrained="step 10")
    assert [(r["task"], r["metrics"]) for r in records] == [
        ("zeroshot_retrieval", {"text_retrieval_recall@1": 0.4, "image_retrieval_recall@5": 0.6}),
        ("zeroshot_classification", {"acc1": 0.3}),
        ("linear_probe", {"lp_acc1": 0.7}),
    ]
    assert records[0].keys() == {"dataset", "model", "pretrained", "task", "metrics", "language"}
    assert (records[0]["dataset"], records[0]["language"], records[1]["language"]) == ("data/coco.tar", "de", "en")


def test_files_are_named_as_the_benchmark_names_them(tmp_path):
    records = clip_benchmark_records(EVALUATIONS, METRICS, model="my/run", pretrained="step 10")
    paths = write_records(records, tmp_path / "results")
    assert paths[1].name == "data-cars.tar_step-10_my-run_en_zeroshot_classification.json"
    assert json.loads(paths[1].read_text()) == records[1]


@pytest.mark.parametrize("k", [1, 5, 10])
def test_recalls_are_those_of_the_benchmark(k):
    """Theirs, written from its definition: is the recall among the first k above 0, on average over queries?"""
    rng = np.random.default_rng(0)
    of_text = np.sort(rng.integers(0, 20, 60))
    of_text[:20] = np.arange(20)  # every picture has a caption
    images = rng.normal(size=(20, 6)).astype(np.float32)
    texts = (images[of_text] + rng.normal(size=(60, 6))).astype(np.float32)
    scores, positive = texts @ images.T, of_text[:, None] == np.arange(20)
    theirs = []
    for s, p in ((scores, positive), (scores.T, positive.T)):
        first = np.argsort(-s, axis=1)[:, :k]
        theirs.append(np.mean(np.take_along_axis(p, first, 1).sum(1) / p.sum(1) > 0))
    ours = retrieval(images, texts, np.arange(20), of_text)
    assert [ours[f"text_to_image_R@{k}"], ours[f"image_to_text_R@{k}"]] == pytest.approx(theirs)
