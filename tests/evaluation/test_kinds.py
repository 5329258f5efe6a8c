"""The evaluations that a config can name, on real data and embeddings that need no model."""

import dataclasses
import io
import tarfile

import numpy as np
import pytest

from mmjax import config as config_lib
from mmjax.errors import UserError
from mmjax.evaluation.baselines import baselines
from mmjax.evaluation.embeddings import Embeddings
from mmjax.evaluation.few_shot import FewShot
from mmjax.evaluation.kinds import EVALUATIONS, Gap, LinearProbe, Neighbours, Retrieval, ZeroShot, build_evaluations
from mmjax.evaluation.text_only import TextOnly

WIDTH = 48
SEVERAL = ("composition", "platonic")  # whose captions are several templates


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def encode(stream, batch):
    """Pictures: 4 x 4 averages of their colours. Texts: counts of their tokens, folded."""
    if stream == "image":
        x = batch["image"].reshape(-1, 4, 4, 4, 4, 3).mean((2, 4)).reshape(len(batch["image"]), -1)
        return unit(255.0 - x + 1e-3).astype(np.float32)
    x = np.zeros((len(batch[stream]), WIDTH))
    for row, ids in enumerate(batch[stream]):
        np.add.at(x[row], ids % WIDTH, 1.0)
    return unit(x).astype(np.float32)


@pytest.fixture(scope="module")
def embeddings():
    data = config_lib.default().data
    data.image_size = 16
    return Embeddings(encode, data, batch_size=50, mesh=None)


def test_retrieval_counts_every_picture_and_every_caption(embeddings):
    result = Retrieval("emoji:validation-unseen", captions="{label}")(embeddings)
    assert result.metrics["image_to_text_queries"] == 3 * result.metrics["text_to_image_queries"]
    captions = result.metrics["text_to_image_queries"]
    assert result.chance["image_to_text_R@1"] == pytest.approx(1 / captions)
    assert 0 <= result.metrics["image_to_text_R@1"] <= result.metrics["image_to_text_R@10"] <= 1


def test_what_several_evaluations_ask_for_is_embedded_once():
    data = config_lib.default().data
    asked = []
    embeddings = Embeddings(lambda stream, batch: asked.append(stream) or encode(stream, batch), data, 500, None)
    first = embeddings.rows("emoji:validation-unseen", "text", captions="{label}", language="en")
    assert embeddings.rows("emoji:validation-unseen", "text", captions="{label}", language="en", keys=()) is first
    embeddings.rows("emoji:validation-unseen", "text", captions="{label}", language="de")
    assert asked == ["text", "text"]


def test_captions_in_another_language(embeddings):
    german = embeddings.rows("emoji:validation-unseen", "text", captions="{label}", language="de")
    english = embeddings.rows("emoji:validation-unseen", "text", captions="{label}", language="en")
    assert len(german.rows) == len(english.rows) and german.rows[0].text != english.rows[0].text


def test_zero_shot_chance_is_one_of_the_classes(embeddings):
    result = ZeroShot("emoji:validation-unseen", label="group", templates=("a picture of {c}",))(embeddings)
    groups = len(set(embeddings.labels("emoji:validation-unseen", "group", np.arange(20))))
    assert result.chance["acc1"] <= 1 / groups and result.metrics.keys() >= {"acc1", "mean_per_class_recall"}


def test_pixels_tell_groups_apart_better_than_chance(embeddings):
    """Neighbours and probe see structure that is there: pictures of one group share colours and outlines."""
    knn = Neighbours("emoji:train", "emoji:validation-unseen", label="group", k=5)(embeddings).metrics
    probe = LinearProbe("emoji:validation-style", "emoji:validation-unseen", label="group")(embeddings).metrics
    assert knn["acc1"] > 0.4 and probe["acc1"] > 0.25


def test_gap_of_pictures_and_their_captions(embeddings):
    metrics = Gap("emoji:validation-unseen", captions="{label}")(embeddings).metrics
    pictures = embeddings.rows("emoji:validation-unseen", "image")
    captions = embeddings.rows("emoji:validation-unseen", "text", captions="{label}")
    partner = captions.vectors[np.searchsorted(captions.records, pictures.records)]
    distance = np.linalg.norm(pictures.vectors.mean(0) - partner.mean(0))
    assert metrics["modality_gap"] == pytest.approx(distance, rel=1e-5)


@pytest.mark.parametrize(
    ("evaluation", "says"),
    [
        (LinearProbe("emoji:validation-style", "emoji:validation-unseen", label="label"), r"78 .* in training: \D"),
        (Neighbours("emoji:validation-style", "emoji:validation-unseen", label="label"), r"78 .* in training: \D"),
        (
            TextOnly("emoji:validation-style", "emoji:validation-unseen", label="label", captions="{label}"),
            r"in training: \D",
        ),
        (
            FewShot("emoji:validation-style", "emoji:validation-unseen", label="group", shots=(1, 999)),
            r"class '\D+' has \d+ training rows of 999",
        ),
    ],
)
def test_classes_are_named_by_their_names(embeddings, evaluation, says):
    with pytest.raises(UserError, match=says):
        evaluation(embeddings)


def test_labels_and_pictures_that_are_not_there(embeddings):
    with pytest.raises(UserError, match="has no field 'species'"):
        ZeroShot("emoji:validation-unseen", label="species")(embeddings)
    with pytest.raises(UserError, match="no picture in emoji:validation-unseen"):
        Retrieval("emoji:validation-unseen", image_keys=("tiff",))(embeddings)


def test_ridge_stands_beside_english_labels_of_all_pictures_only():
    found = baselines(
        {
            "a": Retrieval("emoji:style", captions="{label}"),
            "b": Retrieval("emoji:style", captions="{label}", language="de"),
            "c": Retrieval("emoji:style", captions="{tags}"),
            "d": Retrieval("emoji:style", captions="{label}", image_keys=("noto.webp",)),
            "e": Retrieval("emoji:style", captions="{label}", streams=("image_2", "text")),
        }
    )
    assert {name.split("/")[1] for name in found["ridge"]} == {"a"}
    assert 0.3 < found["ridge"]["val/a/image_to_text_R@1"] < 0.6


def test_labels_of_a_member_of_text(embeddings, tmp_path):
    """webdataset's `cls`: a number in a file of its own."""
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for n in range(4):
            info = tarfile.TarInfo(f"{n}.cls")
            info.size = 2
            tar.addfile(info, io.BytesIO(b"%d\n" % (n % 2)))
    assert embeddings.labels(str(tmp_path / "a.tar"), "cls", np.array([0, 1, 3, 2])) == ["0", "1", "1", "0"]


@pytest.mark.parametrize("option", [{"captions": "{label"}, {"captions": "{label}", "foils": ("{label:two}",)}])
def test_templates_of_evaluations_are_looked_at_before_the_run(option):
    config = config_lib.default()
    kind = "caption_choice" if "foils" in option else "retrieval"
    config.evaluations.my = config_lib.evaluation(kind, source="emoji:validation-unseen", **option)
    with pytest.raises(UserError, match="template") as error:
        build_evaluations(config)
    assert error.value.where == "config.evaluations.my"


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("retrieval", {"streams": ("image",)}, "1 streams"),
        ("gap", {"streams": ("image", "text", "image_2")}, "3 streams"),
        ("retrieval", {"streams": ("image", "image")}, "a stream stands twice"),
        ("cross_retrieval", {"streams": ("image",)}, "retrieval between"),
        ("cross_retrieval", {"streams": ("image", "text", "image")}, "a stream stands twice"),
        ("knn", {"streams": ("image", "text"), "train": "emoji:train"}, "2 streams"),
        ("few_shot", {"shots": (), "train": "emoji:train"}, "shots"),
    ],
)
def test_options_of_evaluations_are_looked_at_before_the_run(kind, options, says):
    config = config_lib.default()
    config.evaluations.my = config_lib.evaluation(kind, source="emoji:validation-unseen", **options)
    with pytest.raises(UserError, match=says):
        build_evaluations(config)


def test_every_kind_may_have_its_own_streams():
    config = config_lib.default()
    given = {"train": "a", "bank": "a", "objective": "a", "captions": "{txt}", "foils": ("{txt}",)}
    given |= {"parts": (), "nouns": ("txt",), "attributes": (("a",),), "outside": "a", "languages": ("en", "de")}
    for kind, cls in EVALUATIONS.items():
        fields = {field.name for field in dataclasses.fields(cls)}
        own = {k: v for k, v in given.items() if k in fields and (k != "captions" or kind not in SEVERAL)}
        config.evaluations[kind] = config_lib.evaluation(kind, source="b", **own)
    assert build_evaluations(config).keys() == EVALUATIONS.keys()


def test_the_sides_of_a_gap_have_their_names(embeddings):
    gap = Gap("emoji:validation-unseen", captions="{label}", streams=("text", "text_2"))(embeddings).metrics
    assert gap["paired_cosine"] == pytest.approx(1) and {"text_uniformity", "text_2_uniformity"} <= gap.keys()


def test_a_name_with_a_slash():
    config = config_lib.default()
    config.evaluations["a/b"] = config_lib.evaluation("retrieval", source="emoji:validation-unseen")
    with pytest.raises(UserError, match="cannot be called 'a/b'"):
        build_evaluations(config)
