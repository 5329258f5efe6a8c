"""Labels of a batch: equal where samples are of one class, the field's own numbers where it has such."""

import numpy as np
import pytest
from shards import pairs, settings, write_tar, write_tokenizer

from mmjax import config as c
from mmjax.data.labels import label_of
from mmjax.data.pipeline import TrainPipeline
from mmjax.data.sources import open_source
from mmjax.data.unreadable import Unreadable
from mmjax.errors import UserError


def test_numbers_are_kept_and_words_hashed_alike():
    assert label_of({"cls": 7}, "cls") == 7 and label_of({"cls": "7"}, "cls") != 7
    cat, dog = label_of({"cls": "cat"}, "cls"), label_of({"a": {"b": "dog"}}, "a.b")
    assert cat == label_of({"cls": "cat"}, "cls") != dog and 0 <= min(cat, dog) <= max(cat, dog) < 2**31
    assert label_of({"cls": {"en": "cat", "de": "Katze"}}, "cls") == label_of(
        {"cls": {"de": "Katze", "en": "cat"}}, "cls"
    )
    with pytest.raises(Unreadable, match="no such label field"):
        label_of({"cls": None}, "cls")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_has_the_labels_of_its_rows(workers):
    spec = "latent:count=40,widths=3/3,classes=4"
    data = settings(spec, "emoji", label="cls", workers=workers)
    source, batches = open_source(spec), TrainPipeline(data, ("vector",), 0, 16).iterate()
    for _ in range(3):
        batch = next(batches)
        assert batch["label"].dtype == np.int32
        assert batch["label"].tolist() == [source[int(i)]["json"]["cls"] for i in batch["id"]]
    batches.close()


def test_samples_without_the_field_are_counted(tmp_path):
    data = settings(write_tar(tmp_path / "a.tar", pairs(8)), write_tokenizer(tmp_path / "t.json"), label="colour")
    with pytest.raises(UserError, match="no such label field"):
        TrainPipeline(data, ("image", "text"), 0, 4).batch(0)


def test_the_emojis_groups_as_positives():
    config = c.default()
    config.data.label, config.data.captions = "group", (("{label}", 1.0),)
    batch = TrainPipeline(config.data, ("text",), 0, 64).batch(0)
    assert 2 < len(set(batch["label"].tolist())) < 20
